// Package platformtest is the suite that every platform passes: whatever is
// asked of it, nothing that it issues allows more than its grant, or for longer.
package platformtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher"
	"usher/internal/platform"
)

// Harness is a platform, and what the suite must know of it.
type Harness struct {
	Platform platform.Platform
	// Ordinary is a request that the platform must grant, in each of Formats;
	// the suite varies it. Its grant has every permission.
	Ordinary platform.Request
	// Formats are the formats to ask for; none is the platform's usual one only.
	Formats []string
	// Decode says what a credential allows. It must read the credential as the
	// platform's servers do, or at least not with the code that wrote it.
	Decode func(usher.Credential) (Allowed, error)
	// Unbound are the formats whose credentials name no room, as a login to a
	// messaging service does.
	Unbound []string
	// Nameless are the formats whose credentials name nobody, as a ticket does.
	Nameless []string
	// Rooms and Subjects are names that mean more than themselves to the
	// platform: every room, any user. They are tried beside the suite's own.
	Rooms, Subjects []string
	// Secrets must not be found in any error.
	Secrets []usher.Secret
}

// Allowed is what a credential lets its bearer do.
type Allowed struct {
	Room        string
	Subject     string
	Permissions usher.Permissions
	// NotBefore and Expires are when it begins and ends; zero is always.
	NotBefore, Expires time.Time
}

// hostile are names of rooms and subjects with which some platform, parser or
// shell would do more than compare them.
var hostile = []string{
	"", "*", "**", "?", "%", ".*", "[a-z]", "null", "undefined", "0", "00", "-1", "1e3", "0x1",
	"4294967295", "4294967296", "4294967297", "18446744073709551616", "room*", "*room", "room,*", "room *", "room\n*",
	" ", "\t", "room ", " room", "room\x00", "\x00room", "room\r\nroom2", "ROOM", "../room", "room/..", "/", "//", "a/b", "a\\b",
	"%2F", "%2a", "room%00", "room?x=1", "room#x", "room;room2", "room|room2", "room:room2", `"`, `room","room2`, `'`, "`", "${room}", "{}", "[]", `["*"]`,
	"caf\u00e9", "cafe\u0301", "\u623f\u95f4", "\u202eroom", "\uff0a", "room\xff", "\xff\xfe",
	strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 65), strings.Repeat("a", 256), strings.Repeat("a", 1<<16),
}

// Run tests a platform.
func Run(t *testing.T, h Harness) {
	if len(h.Formats) == 0 {
		h.Formats = []string{h.Ordinary.Format}
	}
	t.Run("an ordinary grant is issued", h.ordinary)
	t.Run("nothing is issued beyond its grant", func(t *testing.T) { rapid.Check(t, h.property) })
	t.Run("hostile names stay what they are", h.names)
	t.Run("what is over is refused", h.over)
	t.Run("who may not join is refused", h.without)
	t.Run("an unknown format is refused", h.unknownFormat)
	t.Run("many ask at once", h.together)
}

// ask issues, holds the outcome against the grant, and returns the refusal if
// it was one.
func (h Harness) ask(t rapid.TB, req platform.Request) error {
	t.Helper()
	what := fmt.Sprintf("format %q, room %.80q, subject %.80q, may %q, from %v to %v, at %v", req.Format, req.Grant.Room, req.Subject,
		req.Grant.Permissions, req.Grant.NotBefore, req.Grant.Expires, req.Now)
	credential, err := h.Platform.Issue(context.Background(), req)
	if err != nil {
		h.refusal(t, what, credential, err)
		return err
	}
	if credential.Platform == "" || credential.Token == "" {
		t.Errorf("%s: the credential lacks its platform or its token", what)
	}
	got, err := h.Decode(credential)
	if err != nil {
		t.Errorf("%s: the credential can't be read: %v", what, err)
		return nil
	}
	if !got.Permissions.Within(req.Grant.Permissions) {
		t.Errorf("%s: the credential allows %q", what, got.Permissions)
	}
	if bound := !slices.Contains(h.Unbound, req.Format); bound && got.Room != req.Grant.Room {
		t.Errorf("%s: the credential is for the room %q", what, got.Room)
	}
	named := !slices.Contains(h.Nameless, req.Format)
	if named && req.Subject != "" && got.Subject != req.Subject {
		t.Errorf("%s: the credential is for %q", what, got.Subject)
	}
	if named && got.Subject == "" {
		t.Errorf("%s: the credential is for nobody in particular", what)
	}
	if got.NotBefore.Before(req.Grant.NotBefore) && req.Now.Before(req.Grant.NotBefore) {
		t.Errorf("%s: the credential is good from %v", what, got.NotBefore)
	}
	if end := req.Grant.Expires; !end.IsZero() && (got.Expires.IsZero() || got.Expires.After(end)) {
		t.Errorf("%s: the credential is good until %v", what, got.Expires)
	}
	if !got.Expires.Equal(credential.ExpiresAt) {
		t.Errorf("%s: the credential is good until %v and said to be until %v", what, got.Expires, credential.ExpiresAt)
	}
	return nil
}

// refusal checks that a refused caller can be told why, and nothing secret.
func (h Harness) refusal(t rapid.TB, what string, credential usher.Credential, err error) {
	t.Helper()
	refused, ok := errors.AsType[*usher.Error](err)
	if !ok || refused.Kind == usher.Internal || refused.Code == "" || refused.Message == "" {
		t.Errorf("%s: refused with %v, want a usher.Error that a caller understands", what, err)
	}
	if credential.Token != "" || credential.Body != nil {
		t.Errorf("%s: a credential came with the refusal", what)
	}
	for _, secret := range h.Secrets {
		if strings.Contains(err.Error(), secret.Reveal()) {
			t.Errorf("%s: the error has a secret in it", what)
		}
	}
}

func (h Harness) ordinary(t *testing.T) {
	if got := h.Ordinary.Grant.Permissions; !usher.AllPermissions.Within(got) {
		t.Fatalf("the ordinary grant has only %q", got)
	}
	for _, format := range h.Formats {
		req := h.Ordinary
		req.Format = format
		if err := h.ask(t, req); err != nil {
			t.Errorf("format %q: refused: %v", format, err)
		}
	}
}

func (h Harness) property(t *rapid.T) {
	req := h.Ordinary
	req.Format = rapid.SampledFrom(h.Formats).Draw(t, "format")
	req.Now = h.Ordinary.Now.Add(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "now")))
	req.Grant.Room = drawName(t, "room", h.Ordinary.Grant.Room, h.Rooms)
	req.Subject = drawName(t, "subject", h.Ordinary.Subject, h.Subjects)
	req.Grant.Permissions = usher.AllPermissions.And(rapid.SliceOfDistinct(rapid.SampledFrom(usher.AllPermissions), rapid.ID).Draw(t, "permissions"))
	if !h.Ordinary.Grant.Expires.IsZero() {
		req.Grant.Expires = req.Now.Add(drawSpan(t, "expires"))
	}
	if rapid.Bool().Draw(t, "begins") {
		req.Grant.NotBefore = req.Now.Add(drawSpan(t, "notBefore"))
	}
	over := !req.Grant.Expires.IsZero() && !req.Now.Before(req.Grant.Expires)
	if err := h.ask(t, req); err == nil && (over || !req.Grant.Permissions.Has(usher.Join)) {
		t.Errorf("a credential was issued for a grant that is over, or that does not allow to join")
	}
}

// drawName draws the ordinary name, a hostile one, or any text at all.
func drawName(t *rapid.T, label, ordinary string, special []string) string {
	return rapid.OneOf(
		rapid.Just(ordinary),
		rapid.StringMatching(`[a-zA-Z0-9_-]{1,40}`),
		rapid.SampledFrom(append(slices.Clone(special), hostile...)),
		rapid.String(),
	).Draw(t, label)
}

// drawSpan draws a time from now: near, at the turns of formats that count
// seconds in 32 bits, or anywhere within the reach of a duration.
func drawSpan(t *rapid.T, label string) time.Duration {
	return time.Duration(rapid.OneOf(
		rapid.Int64Range(-int64(2*time.Second), int64(2*time.Second)),
		rapid.Int64Range(-int64(time.Hour), int64(48*time.Hour)),
		rapid.Int64Range(math.MinInt64, math.MaxInt64),
	).Draw(t, label))
}

func (h Harness) names(t *testing.T) {
	for _, format := range h.Formats {
		for _, name := range append(slices.Clone(h.Rooms), hostile...) {
			req := h.Ordinary
			req.Format, req.Grant.Room = format, name
			bound := !slices.Contains(h.Unbound, format)
			if h.ask(t, req) == nil && bound && (name == "" || name == "*" || slices.Contains(h.Rooms, name)) {
				t.Errorf("format %q: a credential was issued for the room %q", format, name)
			}
		}
		for _, name := range append(slices.Clone(h.Subjects), hostile...) {
			req := h.Ordinary
			req.Format, req.Subject = format, name
			named := !slices.Contains(h.Nameless, format)
			if h.ask(t, req) == nil && named && slices.Contains(h.Subjects, name) {
				t.Errorf("format %q: a credential was issued for the subject %q", format, name)
			}
		}
	}
}

func (h Harness) over(t *testing.T) {
	if h.Ordinary.Grant.Expires.IsZero() {
		return // the platform knows no times
	}
	for _, format := range h.Formats {
		for _, ago := range []time.Duration{0, time.Nanosecond, time.Second, time.Hour, 100 * 365 * 24 * time.Hour} {
			req := h.Ordinary
			req.Format, req.Grant.Expires = format, req.Now.Add(-ago)
			if h.ask(t, req) == nil {
				t.Errorf("format %q: a credential was issued for a grant that ended %v ago", format, ago)
			}
		}
	}
}

func (h Harness) without(t *testing.T) {
	for _, format := range h.Formats {
		for _, permissions := range []usher.Permissions{nil, usher.AllPermissions[1:], {usher.Moderate}} {
			req := h.Ordinary
			req.Format, req.Grant.Permissions = format, permissions
			if h.ask(t, req) == nil {
				t.Errorf("format %q: a credential was issued to who may only %q", format, permissions)
			}
		}
	}
}

func (h Harness) unknownFormat(t *testing.T) {
	for _, format := range []string{"none-such", " ", "\x00", "*", h.Ordinary.Format + "/none-such"} {
		req := h.Ordinary
		req.Format = format
		if h.ask(t, req) == nil {
			t.Errorf("a credential was issued in the format %q", format)
		}
	}
}

func (h Harness) together(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 {
		for _, format := range h.Formats {
			wg.Go(func() {
				req := h.Ordinary
				req.Format = format
				if err := h.ask(t, req); err != nil {
					t.Errorf("format %q: refused: %v", format, err)
				}
			})
		}
	}
	wg.Wait()
}
