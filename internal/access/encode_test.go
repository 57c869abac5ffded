package access_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"usher"
	"usher/internal/access"
)

// wantEncoded holds the encoding of events against the standard library's.
func wantEncoded(t interface {
	Helper()
	Fatalf(string, ...any)
}, events []usher.Event) {
	t.Helper()
	want, err := json.Marshal(events)
	if err != nil {
		t.Fatalf("%v", err)
	}
	got := access.EncodeEvents(events)
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Fatalf("encoded otherwise than by encoding/json (-want +got):\n%s", diff)
	}
}

func anyEvent(t *rapid.T) usher.Event {
	text := func(name string) string {
		return rapid.OneOf(rapid.Just(""), rapid.StringN(0, 20, 40), rapid.SampledFrom([]string{
			"user:https://id.example.com#ann", `"quoted\"`, "<b>&amp;</b>", "né", "\x00\x1f\x7f", "\xff\xfe", "\u2028", "a\nb",
		})).Draw(t, name)
	}
	at := func(name string) time.Time {
		micro := rapid.Int64Range(0, 4e15).Draw(t, name)
		if micro%3 == 0 {
			return time.Time{}
		}
		return time.UnixMicro(micro).In([]*time.Location{time.UTC, time.FixedZone("", 3600)}[micro%2])
	}
	e := usher.Event{
		ID: usher.ID(text("id")), Type: usher.EventType(text("type")), App: text("app"), Who: text("who"), Name: text("name"),
		Actor: text("actor"), Room: usher.ID(text("room")), Participant: usher.ID(text("participant")),
		Request: text("request"), Reason: text("reason"),
	}
	if rapid.Bool().Draw(t, "decided") {
		e.Decision = &usher.Decision{
			Action: text("action"), Allowed: rapid.Bool().Draw(t, "allowed"), Rule: text("rule"), Code: text("code"),
			Role: usher.Role(text("role")), NotBefore: at("not before"), Expires: at("expires"),
			Clamped: rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, "clamped"), Proof: text("proof"),
		}
		e.Decision.Permissions = usher.AllPermissions[:rapid.IntRange(0, 7).Draw(t, "permissions")]
	}
	return e
}

func TestEventsAreEncodedAsByTheStandardLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wantEncoded(t, rapid.SliceOfN(rapid.Custom(anyEvent), 1, 4).Draw(t, "events"))
	})
}

// A field that is added to an event must not be forgotten where it is written.
func TestEveryFieldOfAnEventIsEncoded(t *testing.T) {
	e := usher.Event{
		ID: "id", Type: usher.Decided, App: "app", Who: "who", Name: "name", Actor: "actor", Room: "room",
		Participant: "participant", Request: "request", Reason: "reason",
		Decision: &usher.Decision{
			Action: "action", Allowed: true, Rule: "rule", Code: "code", Role: "role", Permissions: usher.AllPermissions,
			NotBefore: time.UnixMicro(1), Expires: time.UnixMicro(2), Clamped: []string{"role", "lifetime"}, Proof: "proof",
		},
	}
	for _, v := range []reflect.Value{reflect.ValueOf(e), reflect.ValueOf(*e.Decision)} {
		for field, value := range v.Fields() {
			if value.IsZero() {
				t.Errorf("the test's %s has no value in %s", v.Type(), field.Name)
			}
		}
	}
	wantEncoded(t, []usher.Event{e})
	wantEncoded(t, []usher.Event{{}})
}

// One event that could not be written would hold up all that follow it.
func TestATimeThatJSONCannotWriteIsTheNearest(t *testing.T) {
	offset := time.FixedZone("", 24*60*60+1)
	for at, want := range map[time.Time]string{
		time.Date(10_000, time.January, 1, 0, 0, 0, 0, time.UTC): "9999-12-31T23:59:59Z",
		time.Date(9999, time.December, 31, 23, 0, 0, 0, offset):  "9999-12-30T22:59:59Z",
		time.Date(-1, time.December, 31, 0, 0, 0, 0, time.UTC):   "0000-01-01T00:00:00Z",
	} {
		got := access.EncodeEvents([]usher.Event{{Decision: &usher.Decision{Expires: at}}})
		var back []usher.Event
		if err := json.Unmarshal(got, &back); err != nil {
			t.Errorf("%v is written as %s: %v", at, got, err)
		} else if s := back[0].Decision.Expires.Format(time.RFC3339Nano); s != want {
			t.Errorf("%v is read as %s, want %s", at, s, want)
		}
	}
}
