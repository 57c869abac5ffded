package vpaas

import (
	"encoding/json"
	"errors"
	"strings"

	"usher/internal/access"
)

// maxMessage is the most that a message may have, in bytes. A media_offer of
// the SDK has up to 69 KB.
const maxMessage = 256 << 10

// message is every message that a client sends, with the fields of all types:
// what is missing or null is nil, and what is not known is ignored.
type message struct {
	Type *string `json:"type"`
	ID   *string `json:"id"`

	Token         *string `json:"token"`
	ParticipantID *string `json:"participant_id"`
	SDP           *string `json:"sdp"`
	Candidate     *string `json:"candidate"`
	ProducerID    *string `json:"producer_id"`
	StreamID      *string `json:"stream_id"`
	RID           *string `json:"rid"`
	ReceiveMid    *string `json:"receive_mid"`
}

// errorType is a kind of error that the SDK knows.
type errorType string

// The kinds that we use.
const (
	authenticationFailed errorType = "authentication_failed"
	unsupportedMessage   errorType = "unsupported_message"
	invalidJSON          errorType = "invalid_json"
	invalidMessage       errorType = "invalid_message"
	sdpOfferProcessing   errorType = "sdp_offer_processing"
	invalidParameter     errorType = "invalid_parameter"
	resourceUnavailable  errorType = "resource_unavailable"
)

// complaint is what is wrong with a message.
type complaint struct {
	kind errorType
	text string
}

// parse reads a message. Also one that is complained of may have an id that
// the answer refers to.
func parse(data []byte) (message, *complaint) {
	var m message
	err := json.Unmarshal(data, &m)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if wrong.Field == "" {
			return m, &complaint{invalidMessage, "A message must be a JSON object."}
		}
		return m, &complaint{invalidMessage, "The field " + wrong.Field + " must be text."}
	}
	if err != nil {
		return message{}, &complaint{invalidJSON, "The message is not valid JSON."}
	}
	if m.Type == nil {
		return m, &complaint{invalidMessage, "The message has no type."}
	}
	return m, m.check()
}

// check complains of a message that lacks what its type needs.
func (m message) check() *complaint {
	switch *m.Type {
	case "authenticate":
		return needs(m, "token and participant_id", m.Token, m.ParticipantID)
	case "media_offer":
		return needs(m, "sdp", m.SDP)
	case "add_new_candidate":
		return needs(m, "candidate", m.Candidate)
	case "request_stream":
		return needs(m, "producer_id and stream_id", m.ProducerID, m.StreamID)
	case "disconnect_stream":
		return needs(m, "receive_mid", m.ReceiveMid)
	case "ping", "pong":
		return nil
	default:
		return &complaint{unsupportedMessage, "Messages of this type are not understood here."}
	}
}

func needs(m message, names string, values ...*string) *complaint {
	for _, v := range values {
		if v == nil {
			return &complaint{invalidMessage, "The message " + *m.Type + " needs " + names + "."}
		}
	}
	return nil
}

// maxRef is the longest id of a client's message that is repeated to it; the
// SDK's are UUIDs.
const maxRef = 64

// ref returns the id that an answer to the message refers to, or "" if there is
// none that is worth repeating.
func (m message) ref() string {
	if m.ID == nil || len(*m.ID) > maxRef || strings.ContainsFunc(*m.ID, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return *m.ID
}

// answer is every message that we send, but for a roster.
type answer struct {
	Type         string    `json:"type"`
	ID           string    `json:"id,omitempty"`
	Ref          string    `json:"ref,omitempty"`
	Reason       string    `json:"reason,omitempty"`
	ErrorType    errorType `json:"error_type,omitempty"`
	ErrorMessage string    `json:"error_message,omitempty"`
	Detail       *nothing  `json:"detail,omitempty"`
}

func errorAnswer(ref string, c complaint) answer {
	return answer{Type: "error", Ref: ref, ErrorType: c.kind, ErrorMessage: c.text, Detail: &nothing{}}
}

// roster writes the whole list of who is there. It is put together by hand,
// since everyone in a large meeting gets a large one: ids need no escaping.
func roster(present []access.Present) []byte {
	const start, between, end = `{"type":"roster_update","participants":{`, `":{"streams":{}}`, `}}`
	data := make([]byte, 0, len(start)+len(present)*(2+26+len(between))+len(end))
	data = append(data, start...)
	for i, p := range present {
		if i > 0 {
			data = append(data, ',')
		}
		data = append(data, '"')
		data = append(data, p.ID...)
		data = append(data, between...)
	}
	return append(data, end...)
}
