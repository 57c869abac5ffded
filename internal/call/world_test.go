package call_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"usher"
	"usher/internal/call"
	"usher/internal/store"
)

// rules are those of these tests.
var rules = call.Config{
	Ring: 60 * time.Second, Connect: 20 * time.Second, Grace: 30 * time.Second, Longest: 2 * time.Hour,
	KeepMissed: 24 * time.Hour, Candidates: 30,
}

var begin = time.Date(2026, time.November, 20, 8, 30, 0, 0, time.UTC)

// fataler is a test, or a property of rapid.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// world is a service with a clock of its own, and people with devices.
type world struct {
	*call.Service
	t       fataler
	ctx     context.Context
	db      store.Calls
	ids     *usher.IDSource
	now     time.Time
	sockets map[string]usher.ID // the newest connection of each device

	mu   sync.Mutex
	told []string
	on   func(usher.Call, []call.Notice) // if set, is told as well
}

func newWorld(t fataler, db store.Calls) *world {
	t.Helper()
	w := &world{t: t, ctx: context.Background(), db: db, now: begin, sockets: map[string]usher.ID{}}
	ids, err := usher.NewIDSource(func() time.Time { return w.now }, rand.Reader)
	if err != nil {
		t.Fatalf("%v", err)
	}
	w.ids = ids
	w.start()
	return w
}

// start begins a new process on the same store.
func (w *world) start() {
	w.Service = call.New(rules, call.Deps{
		Store: w.db, IDs: w.ids, Now: func() time.Time { return w.now }, Logger: slog.New(slog.DiscardHandler), Node: w.ids.New(),
		Changed: func(c usher.Call, notices []call.Notice) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, n := range notices {
				w.told = append(w.told, describe(n))
			}
			if w.on != nil {
				w.on(c, notices)
			}
		},
	})
}

// describe says who is told what: "bob* call.cancel cancelled", "ann1
// call.accept", "bob*-bob1 call.taken".
func describe(n call.Notice) string {
	to := n.To + "*"
	if n.Device != "" {
		to = n.Device
	} else if n.Except != "" {
		to += "-" + n.Except
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", to, n.Action, n.Reason))
}

// device is the device of that name: "ann1" is one of ann's.
func (w *world) device(name string) call.Device {
	if w.sockets[name] == "" {
		w.sockets[name] = w.ids.New()
	}
	return call.Device{App: usher.DefaultApp, User: strings.TrimRight(name, "0123456789"), ID: name, Connection: w.sockets[name]}
}

// do runs one line of a script and returns the code of its error:
//
//	ann1 invites bob c1      the verbs are invites, requests, rings, accepts,
//	                         ignores, connects, cancels, rejects, busies, hangs
//	ann1 loses, ann1 attaches
//	61s, sweep, restart
func (w *world) do(line string) string {
	f := strings.Fields(line)
	if d, err := time.ParseDuration(f[0]); err == nil {
		w.now = w.now.Add(d)
		return ""
	}
	switch f[0] {
	case "sweep":
		return code(w.t, w.Sweep(w.ctx))
	case "restart":
		w.start()
		_, err := w.Recover(w.ctx)
		return code(w.t, err)
	}
	d := w.device(f[0])
	switch f[1] {
	case "loses":
		return code(w.t, w.Lose(w.ctx, d))
	case "attaches":
		w.sockets[f[0]] = w.ids.New()
		_, err := w.Attach(w.ctx, w.device(f[0]))
		return code(w.t, err)
	}
	peer, id := f[2], f[3]
	var err error
	switch f[1] {
	case "invites", "requests":
		_, err = w.Invite(w.ctx, d, call.Invitation{ID: id, To: peer, Request: f[1] == "requests", Payload: "offer"})
	case "rings":
		_, err = w.Ringing(w.ctx, d, peer, id, "")
	case "accepts":
		_, err = w.Accept(w.ctx, d, peer, id, "")
	case "ignores":
		_, err = w.Ignore(w.ctx, d, peer, id)
	case "connects":
		_, err = w.Connected(w.ctx, d, peer, id)
	case "cancels":
		_, err = w.End(w.ctx, d, peer, id, call.How{Action: call.Cancel})
	case "rejects":
		_, err = w.End(w.ctx, d, peer, id, call.How{Action: call.Reject})
	case "busies":
		_, err = w.End(w.ctx, d, peer, id, call.How{Action: call.Busy})
	case "hangs":
		_, err = w.End(w.ctx, d, peer, id, call.How{Action: call.Hangup})
	default:
		w.t.Fatalf("no such line: %s", line)
	}
	return code(w.t, err)
}

// must runs lines that can't fail.
func (w *world) must(lines ...string) {
	w.t.Helper()
	for _, line := range lines {
		if got := w.do(line); got != "" {
			w.t.Fatalf("%s: got %s", line, got)
		}
	}
}

// news returns what was told since it was asked last.
func (w *world) news() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	told := w.told
	w.told = nil
	return told
}

// state says what is stored of the calls of a memory: "c1 accepted ann1 bob1",
// "c2 ended cancelled missed".
func (w *world) state() []string {
	var state []string
	for _, c := range w.db.(*memory).all(func(usher.Call) bool { return true }) {
		s := c.ID
		if c.Merged != "" {
			s += "+" + c.Merged
		}
		s += " " + string(c.Status)
		if c.Live() {
			s += " " + c.Caller.Device
			if c.Callee.Device != "" {
				s += " " + c.Callee.Device
			}
		} else {
			s += " " + string(c.Reason)
		}
		if c.Missed != "" {
			s += " missed"
		}
		state = append(state, s)
	}
	return state
}

// code is the code of an error of the domain, or "" for none.
func code(t fataler, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	e := usher.AsError(err)
	if e.Kind == usher.Internal {
		t.Fatalf("%v", err)
	}
	return e.Code
}
