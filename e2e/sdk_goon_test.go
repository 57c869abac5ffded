package e2e_test

import "testing"

func TestCallsGoOnThroughTheSDKAfterARestart(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	d := sdkClients(t, s)
	_, _ = d.enter("ann")
	bob, _ := d.enter("bob")
	d.ask("befriend", who{"name": "ann", "other": "bob"})
	d.ask("befriend", who{"name": "bob", "other": "ann"})

	restart := func(times int) {
		t.Helper()
		s.Stop()
		s.Restart()
		for _, name := range []string{"ann", "bob"} {
			d.ask("back", who{"name": name, "times": times})
		}
	}
	// What rings, rings on; each of the two goes on with what it said last.
	d.ask("call", who{"name": "ann", "to": bob})
	d.call("rings", who{"name": "bob"}, nil)
	restart(2)
	d.ask("accept", who{"name": "bob"})
	d.ask("state", who{"name": "ann", "is": "accepted"})
	restart(3)
	d.ask("relays", who{"name": "ann", "to": "bob"})
	d.ask("relays", who{"name": "bob", "to": "ann"})
	d.ask("connected", who{"name": "ann"})
	restart(4)
	d.ask("relays", who{"name": "ann", "to": "bob"})
	d.ask("relays", who{"name": "bob", "to": "ann"})
	d.ask("hangup", who{"name": "bob"})
	if got := d.ask("reason", who{"name": "ann"}); got != "user_hangup" {
		t.Errorf("ann's call ended for %q", got)
	}

	// Another page, which was told of a call that is over meanwhile.
	d.ask("call", who{"name": "ann", "to": bob})
	var saved any
	d.call("saved", who{"name": "ann"}, &saved)
	d.call("rings", who{"name": "bob"}, nil)
	d.ask("reject", who{"name": "bob"})
	if got := d.ask("reason", who{"name": "ann"}); got != "rejected" {
		t.Errorf("ann's call ended for %q", got)
	}
	if got := d.ask("goOn", who{"name": "ann", "saved": saved}); got != "call_over rejected" {
		t.Errorf("going on with a call that is over: %q", got)
	}
}

func TestTwoPagesTalkOnThroughTheSDK(t *testing.T) {
	t.Parallel()
	c := newCallPages(t)
	ann, _ := c.enter("ann")
	bob, bobID := c.enter("bob")
	ann.run(`await client.api.addContact({email: 'bob@example.org'})`, nil, nil)
	bob.run(`await client.api.addContact({email: 'ann@example.org'});
		client.calls.on('incoming', async call => { await call.accept(); await talk(call); })`, nil, nil)
	ann.run(`const call = await client.calls.call(arg); await talk(call)`, bobID, nil)
	flow := func() {
		t.Helper()
		for _, p := range []page{ann, bob} {
			p.run(`await until('the media', () => window.media); await receives()`, nil, nil)
		}
	}
	flow()

	// The server is another process, and the media never stopped.
	for _, p := range []page{ann, bob} {
		p.run(`window.hellos = []; client.signal.on('hello', ({resumed}) => hellos.push(resumed ?? false)); window.was = media.peer`, nil, nil)
	}
	c.s.Stop()
	flow()
	c.s.Restart()
	for _, p := range []page{ann, bob} {
		p.run(`await until('the connection to be back', () => hellos[0] === false);
			if (call.state !== 'accepted' || media.peer !== was) throw new Error('the call is another: ' + call.state + ' ' + call.reason)`, nil, nil)
	}
	// What is negotiated now passes by the new server, once that knows whose call it is.
	ann.run(`await until('another camera', async () => {
			peer.connection.restartIce();
			const before = peer.connection.localDescription.sdp;
			await until('the answer', () => peer.connection.signalingState === 'stable' && peer.connection.localDescription.sdp !== before);
			return true;
		})`, nil, nil)
	flow()

	// Each page is loaded again, and the call goes on in it.
	for _, p := range []page{ann, bob} {
		p.run(`sessionStorage.setItem('call', JSON.stringify(call.saved))`, nil, nil)
		p.reload()
		p.run(`await enter(arg.url, arg.name);
			const call = await client.calls.goOn(JSON.parse(sessionStorage.getItem('call')));
			await talk(call)`, map[string]string{"url": c.s.HTTP, "name": p.name}, nil)
		flow()
	}
	ann.run(`await call.hangup()`, nil, nil)
	bob.run(`await until('the end', () => call.state === 'ended' && call.reason === 'user_hangup')`, nil, nil)
}
