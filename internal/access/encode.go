package access

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"usher"
)

// encodeEvents writes events as [json.Marshal] does, and [decodeEvents] reads
// them. There is one for each call, and reflection would take longer over it
// than the decision did.
func encodeEvents(events []usher.Event) ([]byte, error) {
	b := append(make([]byte, 0, 2+len(events)*eventSize), '[')
	for i := range events {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendEvent(b, &events[i]); err != nil {
			return nil, fmt.Errorf("access: encode events: %w", err)
		}
	}
	return append(b, ']'), nil
}

// eventSize is what an event takes, or a little more.
const eventSize = 640

func appendEvent(b []byte, e *usher.Event) ([]byte, error) {
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
	return append(o.b, '}'), o.err
}

// object appends the members of a JSON object.
type object struct {
	b   []byte
	err error
}

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
			escaped, err := json.Marshal(s)
			o.b = append(o.b, escaped...)
			o.fail(err)
			return
		}
	}
	o.b = append(append(append(o.b, '"'), s...), '"')
}

// time appends a member that is not the zero time.
func (o *object) time(name string, t time.Time) {
	if t.IsZero() {
		return
	}
	o.name(name)
	b, err := t.AppendText(append(o.b, '"'))
	o.fail(err)
	o.b = append(b, '"')
}

func (o *object) fail(err error) {
	if o.err == nil {
		o.err = err
	}
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
