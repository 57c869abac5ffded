package roomservice

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"usher"
)

// message is the envelope of what a client sends.
type message struct {
	Type string          `json:"type"`
	TS   string          `json:"ts"`
	Ver  int             `json:"ver"`
	Body json.RawMessage `json:"body"`
}

var errMessage = usher.Errorf(usher.Invalid, "message_invalid", "The message is not understood.")

// parseMessage reads an envelope.
func parseMessage(data []byte) (message, *usher.Error) {
	var m message
	if err := json.Unmarshal(data, &m); err != nil || m.Type == "" {
		return message{}, errMessage
	}
	return m, nil
}

// sent is when the client says that it sent the message, by its own clock.
func (m message) sent() (time.Time, bool) {
	ms, _, _ := strings.Cut(m.TS, ":")
	n, err := strconv.ParseInt(ms, 10, 64)
	return time.UnixMilli(n), err == nil
}

// text reads a body that is a text.
func (m message) text() (string, *usher.Error) {
	var s string
	if json.Unmarshal(m.Body, &s) != nil || s == "" {
		return "", errMessage
	}
	return s, nil
}

// docCommand is the body of a doc:cmd.
type docCommand struct {
	Room string   `json:"room"`
	Args []string `json:"args"`
}

// presenceCommand is the body of a presence:cmd.
type presenceCommand struct {
	Room  string   `json:"room"`
	Key   string   `json:"key"`
	Value *string  `json:"value"`
	ExpAt *float64 `json:"expAt"` // seconds
}

// maxPresence is how long something can be shown without being set again.
const maxPresence = 72 * time.Hour

// expires is when what is shown is gone.
func (c presenceCommand) expires(now time.Time) time.Time {
	latest := now.Add(maxPresence)
	if *c.ExpAt >= float64(latest.Unix()) {
		return latest
	}
	whole, fraction := math.Modf(max(*c.ExpAt, 0))
	return time.Unix(int64(whole), int64(fraction*1e9))
}

// reply is the envelope of what we send.
type reply struct {
	Ver  int    `json:"ver"`
	Type string `json:"type"`
	Body any    `json:"body"`
}

// forwarded is the body of a doc:fwd.
type forwarded struct {
	From string          `json:"from"`
	Room string          `json:"room"`
	VS   string          `json:"vs"`
	Args json.RawMessage `json:"args"`
	Ack  bool            `json:"ack"`
}

// presenceForwarded is the body of a presence:fwd.
type presenceForwarded struct {
	From  string  `json:"from"`
	Room  string  `json:"room"`
	Key   string  `json:"key"`
	Value string  `json:"value"`
	ExpAt float64 `json:"expAt"` // seconds
}

// removed is the body of a room:rm_guest.
type removed struct {
	Guest string `json:"guest"`
	Room  string `json:"room"`
}

// complaint is the body of an error, which the client prints.
type complaint struct {
	Request request `json:"request"`
	Message string  `json:"message"`
	// Code is stable, unlike the message.
	Code string `json:"code"`
}

// request is by what a client finds the message that is complained of.
type request struct {
	Type string   `json:"type,omitempty"`
	TS   string   `json:"ts,omitempty"`
	Args []string `json:"args,omitempty"`
}

// encode writes a message.
func encode(kind string, body any) []byte {
	data, err := json.Marshal(reply{Type: kind, Body: body})
	if err != nil {
		panic(err) // structs of texts and numbers
	}
	return data
}
