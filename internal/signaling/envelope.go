package signaling

import (
	"encoding/json"

	"usher"
)

// envelope is what the server reads of a client's message. Its slices are parts
// of the message, or, where that has escapes, of a copy.
type envelope struct {
	action, to, toConnection, room, callID, id []byte
	// payload is the value as it was written; nil if there is none.
	payload []byte
	// seq is the value of that member, for an ack.
	seq []byte

	data []byte
	kept [maxKept]span
	runs int
	seen uint32 // members of the table that were there
}

// span is a part of a message.
type span struct{ from, to int }

// A message has at most so many runs of members that are relayed: one more than
// members that are not.
const maxKept = 16

// field is a member that means something to the server.
type field uint32

const (
	fieldAction field = 1 << iota
	fieldTo
	fieldToConnection
	fieldRoom
	fieldCallID
	fieldID
	fieldPayload
	fieldFrom
	fieldFromConnection
	fieldFromParticipant
	fieldTS
	fieldCall
	fieldSeq
	fieldRef
)

// relayed are the fields that reach the receiver as they were sent.
const relayed = fieldAction | fieldPayload | fieldCallID | fieldRoom

// texts are the fields whose values must be text.
const texts = fieldAction | fieldTo | fieldToConnection | fieldRoom | fieldCallID | fieldID

// fieldOf returns the field of that name, or 0.
func fieldOf(name []byte) field {
	switch string(name) {
	case "action":
		return fieldAction
	case "to", "toUserId", "userId", "destination":
		return fieldTo
	case "toConnection":
		return fieldToConnection
	case "room":
		return fieldRoom
	case "callId":
		return fieldCallID
	case "id":
		return fieldID
	case "payload":
		return fieldPayload
	case "from":
		return fieldFrom
	case "fromConnection":
		return fieldFromConnection
	case "fromParticipant":
		return fieldFromParticipant
	case "ts":
		return fieldTS
	case "call":
		return fieldCall
	case "seq":
		return fieldSeq
	case "ref":
		return fieldRef
	}
	return 0
}

// folded are the names of fieldOf in small letters.
func folded(name []byte) bool {
	switch string(name) {
	case "action", "to", "touserid", "userid", "destination", "toconnection", "room", "callid", "id", "payload",
		"from", "fromconnection", "fromparticipant", "ts", "call", "seq", "ref":
		return true
	}
	return false
}

// The bounds of what the envelope says, in bytes.
const (
	maxAction = 64
	maxTo     = 512
	maxShort  = 64
)

func malformed(message string) *usher.Error {
	return &usher.Error{Kind: usher.Invalid, Code: "malformed", Message: message}
}

var (
	errNotObject = malformed("A message must be one JSON object, at most 64 levels deep.")
	errName      = malformed("The names of a message's members must be ASCII, without escapes, and spelled as the protocol does.")
	errTwice     = malformed("A member of the envelope is there twice, or the receiver is named twice.")
	errType      = malformed("action, to, toConnection, room, callId and id must be text.")
	errAction    = malformed("A message needs an action of 1 to 64 bytes.")
	errTooLong   = malformed("A member of the envelope is too long or empty.")
	errCallID    = malformed("A callId has at most 64 characters of A-Z a-z 0-9 . _ : and -.")
)

// parse reads the envelope of a message. What it returns with an error holds
// the id as far as it was found, so that the error can be told apart.
func (e *envelope) parse(data []byte) error {
	*e = envelope{data: data}
	s := scanner{data: data}
	s.space()
	if !s.take('{') {
		return errNotObject
	}
	s.space()
	if s.take('}') {
		return errAction
	}
	for {
		s.space()
		if err := e.member(&s); err != nil {
			return err
		}
		s.space()
		if s.take(',') {
			continue
		}
		if !s.take('}') {
			return errNotObject
		}
		break
	}
	s.space()
	if s.pos != len(data) {
		return errNotObject
	}
	return e.check()
}

// member reads one member.
func (e *envelope) member(s *scanner) error {
	start := s.pos
	name, escaped, ok := s.text()
	if !ok {
		return errNotObject
	}
	f, err := named(name, escaped)
	if err != nil {
		return err
	}
	if f != 0 && e.seen&uint32(f) != 0 {
		return errTwice
	}
	e.seen |= uint32(f)
	s.space()
	if !s.take(':') {
		return errNotObject
	}
	s.space()
	value := s.pos
	if !s.value() {
		return errNotObject
	}
	if f == 0 || f&relayed != 0 {
		e.keep(span{start, s.pos})
	}
	if f == 0 {
		return nil
	}
	return e.set(f, e.data[value:s.pos])
}

// named returns the field of a name, if it is one, and refuses a name that some
// reader could take for a field that it is not: encoding/json, for one, knows no
// difference between capitals and small letters.
func named(name []byte, escaped bool) (field, error) {
	if f := fieldOf(name); f != 0 {
		return f, nil
	}
	if escaped {
		return 0, errName
	}
	var small [16]byte
	for i, c := range name {
		if c >= 0x80 {
			return 0, errName
		}
		if i < len(small) {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			small[i] = c
		}
	}
	if len(name) <= len(small) && folded(small[:len(name)]) {
		return 0, errName
	}
	return 0, nil
}

// keep adds a member to what is relayed.
func (e *envelope) keep(m span) {
	if e.runs > 0 && e.adjacent(e.kept[e.runs-1].to, m.from) {
		e.kept[e.runs-1].to = m.to
		return
	}
	e.kept[e.runs] = m
	e.runs++
}

// adjacent reports whether nothing but a comma and space is between two members.
func (e *envelope) adjacent(from, to int) bool {
	for _, c := range e.data[from:to] {
		if c == '"' {
			return false
		}
	}
	return true
}

// set takes the value of a field.
func (e *envelope) set(f field, value []byte) error {
	switch f {
	case fieldPayload:
		e.payload = value
		return nil
	case fieldSeq:
		e.seq = value
		return nil
	}
	if f&texts == 0 {
		return nil // the server's own, whatever the client says
	}
	if value[0] != '"' {
		return errType
	}
	text := value[1 : len(value)-1]
	for _, c := range text {
		if c == '\\' {
			var s string
			if err := json.Unmarshal(value, &s); err != nil {
				return errType
			}
			text = []byte(s)
			break
		}
	}
	switch f {
	case fieldAction:
		e.action = text
	case fieldTo:
		e.to = text
	case fieldToConnection:
		e.toConnection = text
	case fieldRoom:
		e.room = text
	case fieldCallID:
		e.callID = text
	case fieldID:
		e.id = text
	}
	return nil
}

func (e *envelope) has(f field) bool { return e.seen&uint32(f) != 0 }

// check holds what was read against its bounds.
func (e *envelope) check() error {
	if len(e.action) == 0 || len(e.action) > maxAction {
		return errAction
	}
	for _, m := range []struct {
		field field
		value []byte
		most  int
	}{{fieldTo, e.to, maxTo}, {fieldToConnection, e.toConnection, maxShort}, {fieldRoom, e.room, maxShort}, {fieldID, e.id, maxShort}} {
		if e.has(m.field) && (len(m.value) == 0 || len(m.value) > m.most) {
			return errTooLong
		}
	}
	if e.has(fieldCallID) && !validCallID(e.callID) {
		return errCallID
	}
	return nil
}

func validCallID(id []byte) bool {
	if len(id) == 0 || len(id) > maxShort {
		return false
	}
	for _, c := range id {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == ':', c == '-':
		default:
			return false
		}
	}
	return true
}

// appendRelayed appends the members that are relayed, as they were written,
// each run after a comma.
func (e *envelope) appendRelayed(b []byte) []byte {
	for _, run := range e.kept[:e.runs] {
		b = append(b, ',')
		b = append(b, e.data[run.from:run.to]...)
	}
	return b
}
