package signaling

import (
	"encoding/json"
	"strconv"
	"time"

	"usher"
	"usher/internal/socket"
)

// Subprotocol is the one in which the first message authenticates.
const Subprotocol = "usher.v1"

// The close codes of our own.
const (
	codeUnauthenticated socket.Code = 4401
	codeForbidden       socket.Code = 4403
	codeGone            socket.Code = 4404
	codeRemoved         socket.Code = 4406
	codeReplaced        socket.Code = 4409
	codeLimit           socket.Code = 4429
)

// message is one of the server's own, but for those of calls and what is relayed.
type message struct {
	Action  string       `json:"action"`
	Ref     string       `json:"ref,omitempty"`
	Room    string       `json:"room,omitempty"`
	CallID  string       `json:"callId,omitempty"`
	Call    *callPayload `json:"call,omitempty"`
	Payload any          `json:"payload,omitempty"`
}

func (m message) prepare() socket.Prepared { return socket.Prepare(marshal(m)) }

func marshal(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // structs of strings and numbers
	}
	return data
}

var pong = socket.Prepare([]byte(`{"action":"pong"}`))

// The payloads of the server's messages.
type (
	helloPayload struct {
		UserID     string          `json:"userId"`
		Connection string          `json:"connection"`
		Name       string          `json:"name,omitempty"`
		ExpiresIn  int             `json:"expiresIn,omitempty"`
		Resume     resumePayload   `json:"resume"`
		Resumed    bool            `json:"resumed,omitempty"`
		Limits     limitsPayload   `json:"limits"`
		Presence   []statusPayload `json:"presence"`
	}
	resumePayload struct {
		Token  string  `json:"token"`
		Window float64 `json:"window"`
	}
	limitsPayload struct {
		Message        int     `json:"message"`
		RelayPerSecond float64 `json:"relayPerSecond"`
		RelayBurst     int     `json:"relayBurst"`
		CallsPerSecond float64 `json:"callsPerSecond"`
		CallsBurst     int     `json:"callsBurst"`
		Lifetime       float64 `json:"lifetime"`
	}
	statusPayload struct {
		UserID string `json:"userId"`
		Status status `json:"status"`
		Online *bool  `json:"online,omitempty"`
	}
	expiryPayload struct {
		ExpiresIn int `json:"expiresIn"`
	}
	errorPayload struct {
		Code       string  `json:"code"`
		Message    string  `json:"message"`
		RetryAfter float64 `json:"retryAfter,omitempty"`
	}
	invitedPayload struct {
		State     string  `json:"state"`
		ExpiresIn float64 `json:"expiresIn,omitempty"`
	}
	joinedPayload struct {
		Participant usher.ID          `json:"participant"`
		Role        usher.Role        `json:"role"`
		Permissions usher.Permissions `json:"permissions"`
		Token       string            `json:"token"`
	}
	rosterPayload struct {
		Participants []presentPayload `json:"participants"`
	}
	presentPayload struct {
		ID    usher.ID   `json:"id"`
		Name  string     `json:"name"`
		Role  usher.Role `json:"role"`
		Guest bool       `json:"guest"`
	}
	rightsPayload struct {
		Role        usher.Role        `json:"role"`
		Permissions usher.Permissions `json:"permissions"`
	}
	leftPayload struct {
		Reason  string `json:"reason"`
		Message string `json:"message,omitempty"`
	}
	callPayload struct {
		State     string           `json:"state"`
		Name      string           `json:"name,omitempty"`
		Email     string           `json:"email,omitempty"`
		ExpiresIn float64          `json:"expiresIn,omitempty"`
		By        string           `json:"by,omitempty"`
		Reason    usher.CallReason `json:"reason,omitempty"`
		Merged    string           `json:"merged,omitempty"`
	}
)

// seconds is how clients are told of times: relative, to the millisecond.
func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

// left is for how many whole seconds a token is good: 1 when it is less, since 0
// is that it does not expire.
func left(expires, now time.Time) int {
	if expires.IsZero() {
		return 0
	}
	return max(int(expires.Sub(now)/time.Second), 1)
}

// appendSender begins a message with who sent it, and when.
func appendSender(b []byte, from []byte, handle string, now time.Time) []byte {
	b = append(b, `{"from":`...)
	b = append(b, from...)
	b = append(b, `,"fromConnection":"`...)
	b = append(b, handle...)
	b = append(b, `","ts":`...)
	return strconv.AppendInt(b, now.UnixMilli(), 10)
}
