package signaling

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"usher"
	"usher/internal/socket"
	"usher/internal/store"
)

// early keeps what is held back of a call in the store, where each message may
// come to another process. It holds by [call.Pending]'s rules, and also orders
// what a gateway has handed over in another order than it came.
type early struct{ turn *turn }

var _ holder = early{}

// heldSide is what is held of one side of a call.
type heldSide struct {
	Open     bool         `json:"open,omitempty"`
	Answered bool         `json:"answered,omitempty"` // of the call of a stranger
	Messages []storedHeld `json:"messages,omitempty"`
}

type storedHeld struct {
	Frame  []byte `json:"frame"`
	Handle string `json:"handle,omitempty"`
}

// The bounds of what is held of a side: how long, and how many bytes.
const (
	heldTime   = time.Hour
	maxEarlier = 64 << 10
)

// Begin implements holder: a side of which nothing is known is not open.
func (e early) Begin(usher.CallKey) {}

// End implements holder: marks expire.
func (e early) End(usher.CallKey) {}

// Hold implements holder.
func (e early) Hold(c usher.Call, from string, m heldBack, _ int) (held bool) {
	e.change(c.Key(), from, func(s heldSide) heldSide {
		if held = !s.Open || c.Request && !s.Answered; !held {
			return s
		}
		size := len(m.frame.Text())
		for _, o := range s.Messages {
			size += len(o.Frame)
		}
		if len(s.Messages) < e.turn.calls.Candidates && size <= maxEarlier {
			s.Messages = append(s.Messages, storedHeld{m.frame.Text(), m.handle})
		}
		return s
	})
	return held
}

// Open implements holder.
func (e early) Open(c usher.Call, from string) []heldBack {
	var messages []storedHeld
	e.change(c.Key(), from, func(s heldSide) heldSide {
		s.Open, messages = true, nil
		if !c.Request || s.Answered {
			s.Messages, messages = nil, s.Messages
		}
		return s
	})
	return heldOf(messages)
}

// Answer implements holder.
func (e early) Answer(c usher.CallKey, send func(from string, message heldBack)) {
	for _, from := range []string{c.Pair.Low, c.Pair.High} {
		var messages []storedHeld
		e.change(c, from, func(s heldSide) heldSide {
			s.Answered, messages = true, nil
			if s.Open {
				s.Messages, messages = nil, s.Messages
			}
			return s
		})
		for _, m := range heldOf(messages) {
			send(from, m)
		}
	}
}

func heldOf(messages []storedHeld) []heldBack {
	held := make([]heldBack, len(messages))
	for i, m := range messages {
		held[i] = heldBack{socket.Prepare(m.Frame), m.Handle}
	}
	return held
}

// change changes what is held of a side in one step; f may be called again.
func (e early) change(c usher.CallKey, from string, f func(heldSide) heldSide) {
	t := e.turn
	name := earlyMark(c, from)
	now := t.Now()
	mark := store.Mark{Name: name, Value: marshal(f(heldSide{})), Expires: now.Add(heldTime)}
	there, err := t.Once.Put(t.ctx, now, mark)
	for errors.Is(err, store.ErrExists) {
		var s heldSide
		if err = json.Unmarshal(there.Value, &s); err != nil {
			break
		}
		mark.Value = marshal(f(s))
		if string(mark.Value) == string(there.Value) {
			return
		}
		if there, err = t.Once.Replace(t.ctx, now, there.Value, mark); errors.Is(err, store.ErrNotFound) {
			mark.Value = marshal(f(heldSide{}))
			there, err = t.Once.Put(t.ctx, now, mark)
		}
	}
	if err != nil {
		t.fail("what came too early could not be kept", err)
	}
}

// earlyMark is the name of what is held of a side, of which clients choose parts.
func earlyMark(c usher.CallKey, from string) string {
	digest := sha256.Sum256(marshal([]string{c.App, c.ID, c.Pair.Low, c.Pair.High, from}))
	return "early:" + hex.EncodeToString(digest[:])
}
