package e2e_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"usher"
	"usher/client"
)

// TestPeopleMeetAndCallEachOther goes through all that people do with each other
// on /signal, with a process that dies in between.
func TestPeopleMeetAndCallEachOther(t *testing.T) { onEachStorage(t, testPeople) }

func testPeople(t *testing.T, on storage) {
	i := newIssuer(t)
	s := start(t, options{Config: trusting(i.entry()), On: on})
	p := people{Server: s, ann: i.token("ann"), ben: i.token("ben"), carl: i.token("carl")}
	s.wantMutual(p.ann, p.ben)
	p.wantRelaying()
	p.wantAcceptedAtOne()
	p.wantDeclined()
	p.wantMissed()

	// A call that nobody answers is missed, and all who missed one are told of it
	// by a process that knows nothing but what is stored.
	s.Kill()
	s.options.Config += "calls: {ring: 1s}\n"
	s.Restart()
	ann := s.signal(p.ann, client.SignalOptions{})
	ann.ask(client.Message{Action: "call.invite", To: "ben", CallID: "c5"})
	if m := ann.hear("call.hangup"); m.CallID != "c5" || m.Call.Reason != "invite_timeout" {
		t.Errorf("ann hears %+v", m)
	}
	p.wantListed("c5", "c4", "c3")
	s.Kill()
	s.Restart()
	missed := p.wantListed("c5", "c4", "c3")
	if err := s.as(p.ben).AcknowledgeCalls(within(t, time.Minute), missed[1].ID); err != nil {
		t.Fatal(err)
	}
	p.wantListed("c5")
}

// people are Ann and Ben, who list each other, and Carl, whom nobody lists.
type people struct {
	*Server
	ann, ben, carl usher.Secret
}

func (p people) wantRelaying() {
	p.t.Helper()
	ann := p.signal(p.ann, client.SignalOptions{})
	phone, laptop := p.signal(p.ben, client.SignalOptions{}), p.signal(p.ben, client.SignalOptions{InURL: true})
	for m := ann.hear("presence"); ; m = ann.hear("presence") {
		if string(m.Payload) == `{"userId":"ben","status":"online","online":true}` {
			break
		}
	}
	say := func(text, to string) client.Message {
		return client.Message{Action: "greeting", To: "ben", ToConnection: to, Payload: asPayload(p.t, text)}
	}
	ann.ask(say("the phone", phone.Hello().Connection))
	ann.ask(say("both", ""))
	for _, want := range []struct {
		at   signalConn
		text string
	}{{phone, "the phone"}, {phone, "both"}, {laptop, "both"}} {
		m := want.at.hear("greeting")
		if m.From != "ann" || m.FromConnection != ann.Hello().Connection || string(m.Payload) != string(asPayload(p.t, want.text)) {
			p.t.Errorf("ben hears %s from %s at %s, want %q", m.Payload, m.From, m.FromConnection, want.text)
		}
	}
	p.signal(p.carl, client.SignalOptions{}).refused("unreachable", say("from a stranger", ""))
	for _, c := range []signalConn{ann, phone, laptop} {
		if err := c.Close(); err != nil {
			p.t.Error(err)
		}
	}
}

// wantAcceptedAtOne has a call ring at two devices, accepted at one of them, and
// go on after the process has died.
func (p people) wantAcceptedAtOne() {
	p.t.Helper()
	ann := p.signal(p.ann, client.SignalOptions{})
	phone, laptop := p.signal(p.ben, client.SignalOptions{}), p.signal(p.ben, client.SignalOptions{})
	ann.ask(client.Message{Action: "call.invite", To: "ben", CallID: "c1"})
	for _, c := range []signalConn{phone, laptop} {
		if m := c.hear("call.invite"); m.CallID != "c1" || m.From != "ann" {
			p.t.Errorf("ben hears %+v", m)
		}
	}
	phone.ask(client.Message{Action: "call.ringing", CallID: "c1"})
	ann.hear("call.ringing")
	phone.ask(client.Message{Action: "call.accept", CallID: "c1"})
	if m := ann.hear("call.accept"); m.FromConnection != phone.Hello().Connection {
		p.t.Errorf("ann hears %+v, want it from the phone", m)
	}
	if m := laptop.hear("call.taken"); m.Call.By != phone.Hello().Connection {
		p.t.Errorf("the laptop hears %+v, want it to be taken by the phone", m)
	}
	laptop.refused("call_taken", client.Message{Action: "call.accept", CallID: "c1"})
	ann.ask(client.Message{Action: "sdp", CallID: "c1", Payload: json.RawMessage(`{"description":{"type":"offer"}}`)})
	phone.hear("sdp")

	// Who calls a person who is in a call hears so, if the person lists them.
	carl := p.signal(p.carl, client.SignalOptions{})
	carl.ask(client.Message{Action: "call.invite", To: "ben", CallID: "c2"})
	if m := laptop.hear("call.request"); m.CallID != "c2" || m.From != "carl" || m.Payload != nil {
		p.t.Errorf("the laptop hears %+v of the stranger's call", m)
	}
	laptop.ask(client.Message{Action: "call.reject", CallID: "c2"})
	carl.hear("call.reject")

	p.Kill()
	p.Restart()
	ann, phone = p.signal(p.ann, client.SignalOptions{}), p.signal(p.ben, client.SignalOptions{})
	for _, c := range []signalConn{ann, phone} {
		c.ask(client.Message{Action: "call.connected", CallID: "c1"})
	}
	phone.ask(client.Message{Action: "sdp", CallID: "c1", Payload: json.RawMessage(`{"description":{"type":"answer"}}`)})
	phone.ask(client.Message{Action: "candidate", CallID: "c1", Payload: json.RawMessage(`{"candidate":null}`)})
	ann.hear("sdp")
	ann.hear("candidate")
	ann.ask(client.Message{Action: "call.hangup", CallID: "c1"})
	if m := phone.hear("call.hangup"); m.CallID != "c1" {
		p.t.Errorf("the phone hears %+v", m)
	}
	phone.refused("call_over", client.Message{Action: "call.accept", CallID: "c1"})
	for _, c := range []signalConn{ann, phone, carl} {
		_ = c.Close() // carl's was that of the process before
	}
}

func (p people) wantDeclined() {
	p.t.Helper()
	ann := p.signal(p.ann, client.SignalOptions{})
	phone, laptop := p.signal(p.ben, client.SignalOptions{}), p.signal(p.ben, client.SignalOptions{})
	ann.ask(client.Message{Action: "call.invite", To: "ben", CallID: "r1"})
	laptop.hear("call.invite")
	laptop.ask(client.Message{Action: "call.reject", CallID: "r1", Payload: json.RawMessage(`{"reason":"not_now"}`)})
	if m := ann.hear("call.reject"); m.CallID != "r1" || m.Call.Reason != "not_now" {
		p.t.Errorf("ann hears %+v", m)
	}
	if m := phone.hear("call.taken"); m.CallID != "r1" || m.Call.By != laptop.Hello().Connection {
		p.t.Errorf("the phone hears %+v", m)
	}
	for _, c := range []signalConn{ann, phone, laptop} {
		if err := c.Close(); err != nil {
			p.t.Error(err)
		}
	}
	p.wantListed()
}

func (p people) wantMissed() {
	p.t.Helper()
	ann, carl := p.signal(p.ann, client.SignalOptions{}), p.signal(p.carl, client.SignalOptions{})
	phone := p.signal(p.ben, client.SignalOptions{})
	ann.ask(client.Message{Action: "call.invite", To: "ben", CallID: "c3"})
	phone.hear("call.invite")
	ann.ask(client.Message{Action: "call.cancel", CallID: "c3"})
	phone.hear("call.cancel")
	if m := phone.hear("call.missed"); m.CallID != "c3" || m.From != "ann" {
		p.t.Errorf("the phone hears %+v", m)
	}
	if err := phone.Close(); err != nil {
		p.t.Error(err)
	}
	carl.ask(client.Message{Action: "call.invite", To: "ben", CallID: "c4"}) // nobody is there
	carl.ask(client.Message{Action: "call.cancel", CallID: "c4"})
	if missed := p.wantListed("c4", "c3"); len(missed) == 2 && (!missed[0].Request || missed[1].Request || missed[0].From != "carl") {
		p.t.Errorf("ben missed %+v, want the stranger's to be a request", missed)
	}
	for _, c := range []signalConn{ann, carl} {
		if err := c.Close(); err != nil {
			p.t.Error(err)
		}
	}
}

// wantListed compares the calls that ben missed, the newest first.
func (p people) wantListed(calls ...string) []client.MissedCall {
	p.t.Helper()
	page, err := p.as(p.ben).MissedCallPage(within(p.t, time.Minute), client.PageQuery{})
	var got []string
	for _, c := range page.Calls {
		got = append(got, c.CallID)
	}
	if err != nil || !slices.Equal(got, calls) {
		p.t.Errorf("ben missed %q, error %v, want %q", got, err, calls)
	}
	return page.Calls
}
