package access

import (
	"encoding/json"
	"strconv"
	"time"

	"usher"
)

// encodeEvents writes events as [json.Marshal] does, and [decodeEvents] reads
// them. There is one for each call, and reflection would take longer over it
// than the decision did. It can't fail: one event that could not be written
// would hold up all that follow it, for ever.
func encodeEvents(events []usher.Event) []byte {
	b := append(make([]byte, 0, 2+len(events)*eventSize), '[')
	for i := range events {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendEvent(b, &events[i])
	}
	return append(b, ']')
}

// eventSize is what an event takes, or a little more.
const eventSize = 640

func appendEvent(b []byte, e *usher.Event) []byte {
	o := object{b: append(b, '{')}
	o.text("id", string(e.ID), true)
	o.text("type", string(e.Type), true)
	o.text("app", e.App, true)
	o.text("who", e.Who, false)
	o.text("name", e.Name, false)
	o.text("actor", e.Actor, false)
	o.text("room", string(e.Room), false)
	o.text("participant", string(e.Participant), false)
	o.text("request", e.Request, false)
	o.text("reason", e.Reason, false)
	if d := e.Decision; d != nil {
		o.name("decision")
		o.b = append(o.b, '{')
		o.text("action", d.Action, true)
		o.name("allowed")
		o.b = strconv.AppendBool(o.b, d.Allowed)
		o.text("rule", d.Rule, true)
		o.text("code", d.Code, false)
		o.text("role", string(d.Role), false)
		list(&o, "permissions", d.Permissions)
		o.time("not_before", d.NotBefore)
		o.time("expires_at", d.Expires)
		list(&o, "clamped", d.Clamped)
		o.text("proof", d.Proof, false)
		o.b = append(o.b, '}')
	}
	return append(o.b, '}')
}

// object appends the members of a JSON object.
type object struct{ b []byte }

// name begins a member.
func (o *object) name(name string) {
	if o.b[len(o.b)-1] != '{' {
		o.b = append(o.b, ',')
	}
	o.b = append(append(append(o.b, '"'), name...), `":`...)
}

// text appends a member; an empty one only if it is wanted always.
func (o *object) text(name, value string, always bool) {
	if value != "" || always {
		o.name(name)
		o.string(value)
	}
}

// string appends a string. What needs escapes is left to the standard library.
func (o *object) string(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			escaped, _ := json.Marshal(s) // of a string it does not fail
			o.b = append(o.b, escaped...)
			return
		}
	}
	o.b = append(append(append(o.b, '"'), s...), '"')
}

// time appends a member that is not the zero time. One that JSON has no way to
// write becomes the nearest that it has.
func (o *object) time(name string, t time.Time) {
	if t.IsZero() {
		return
	}
	o.name(name)
	b, err := t.AppendText(append(o.b, '"'))
	if err != nil {
		b = within(t.UTC()).AppendFormat(append(o.b, '"'), time.RFC3339Nano)
	}
	o.b = append(b, '"')
}

// within is a time in the years that RFC 3339 can write.
func within(t time.Time) time.Time {
	first, last := time.Date(0, time.January, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC)
	if t.Before(first) {
		return first
	}
	return earliest(t, last)
}

// list appends a member that is not empty.
func list[S ~string](o *object, name string, values []S) {
	if len(values) == 0 {
		return
	}
	o.name(name)
	for i, v := range values {
		o.b = append(o.b, "[,"[min(i, 1)])
		o.string(string(v))
	}
	o.b = append(o.b, ']')
}
