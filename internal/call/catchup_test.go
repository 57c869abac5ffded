package call_test

import (
	"slices"
	"strings"
	"testing"

	"usher"
)

// Whoever knows of their calls as they were after the first lines, and is told
// nothing of the others, hears of them all the same.
func TestWhoMissedWhatWasToldCatchesUp(t *testing.T) {
	for name, test := range map[string]struct {
		known, missed string
		ann, bob      []string
	}{
		"nothing":                        {"ann1 invites bob c1; bob1 rings ann c1", "", nil, nil},
		"that it rings":                  {"", "ann1 invites bob c1", nil, []string{"bob* call.invite"}},
		"that a stranger's rings":        {"", "ann1 requests bob c1", nil, []string{"bob* call.request"}},
		"that the other side rings":      {"ann1 invites bob c1", "bob1 rings ann c1", []string{"ann1 call.ringing"}, nil},
		"that it rings at a stranger's":  {"ann1 requests bob c1", "bob1 rings ann c1", nil, nil},
		"that it was accepted":           {"ann1 invites bob c1", "bob1 rings ann c1; bob1 accepts ann c1", []string{"ann1 call.accept"}, []string{"bob*-bob1 call.taken"}},
		"a whole call but for its start": {"ann1 invites bob c1", "bob1 accepts ann c1; ann1 hangs bob c1", []string{"ann*-ann1 call.hangup user_hangup"}, []string{"bob* call.hangup user_hangup"}},
		"that the media is there":        {"ann1 invites bob c1; bob1 accepts ann c1", "ann1 connects bob c1", nil, nil},
		"that it was hung up":            {"ann1 invites bob c1; bob1 accepts ann c1", "bob1 hangs ann c1", []string{"ann* call.hangup user_hangup"}, []string{"bob* call.hangup user_hangup"}},
		"that it was rejected":           {"ann1 invites bob c1", "bob1 rejects ann c1", []string{"ann1 call.reject rejected"}, []string{"bob* call.taken rejected"}},
		"that it was cancelled":          {"ann1 invites bob c1; bob1 rings ann c1", "ann1 cancels bob c1", nil, []string{"bob* call.cancel cancelled", "bob* call.missed cancelled"}},
		"that nobody answered":           {"ann1 invites bob c1", "61s; sweep", []string{"ann1 call.hangup invite_timeout"}, []string{"bob* call.missed invite_timeout"}},
		"a call from beginning to end":   {"", "ann1 invites bob c1; bob1 accepts ann c1; bob1 hangs ann c1", nil, nil},
		"what was forgotten long ago":    {"ann1 invites bob c1; bob1 accepts ann c1", "bob1 hangs ann c1; 20m; sweep", []string{"ann* call.hangup unknown_error"}, []string{"bob* call.hangup unknown_error"}},
		"two calls that became one":      {"ann1 invites bob c1", "bob1 invites ann c2", []string{"ann1 call.accept"}, []string{"bob*-bob1 call.taken"}},
		"that it was started anew":       {"ann1 invites bob c1", "ann1 invites bob c2", nil, []string{"bob* call.invite", "bob* call.cancel replaced"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, newMemory())
			run := func(script string) {
				for line := range strings.SplitSeq(script, "; ") {
					if line != "" {
						w.must(line)
					}
				}
			}
			run(test.known)
			known := w.db.(*memory).all(usher.Call.Live)
			run(test.missed)
			for user, want := range map[string][]string{"ann": test.ann, "bob": test.bob} {
				news, err := w.CatchUp(t.Context(), usher.DefaultApp, user, known)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, n := range news {
					for _, notice := range n.Notices {
						got = append(got, describe(notice))
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s is told %q, want %q", user, got, want)
				}
			}
		})
	}
}
