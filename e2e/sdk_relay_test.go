package e2e_test

import (
	"testing"

	"usher/internal/turn"
)

// longestGap is how long pictures may fail to come, in milliseconds, before people
// take a call for broken off.
const longestGap = 5000

func TestARelayedCallOutlivesItsCredentialsThroughTheSDK(t *testing.T) {
	t.Parallel()
	const secret = "a secret of thirty-two characters"
	config := turn.DefaultConfig()
	config.UDP, config.Secret, config.AllowPeers = "127.0.0.1:0", secret, []string{"127.0.0.0/8"}
	relays, err := turn.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = relays.Close() })
	c := newCallPages(t, "USHER_TURN_URLS=turn:"+relays.UDPAddr().String()+"?transport=udp",
		"USHER_TURN_SECRET=env:RELAY_SECRET", "RELAY_SECRET="+secret, "USHER_POLICY_LIFETIME=15s")
	c.s.Secret(secret)

	ann, _ := c.enter("ann")
	bob, bobID := c.enter("bob")
	bob.run(`client.calls.on('incoming', async call => { await call.accept(); await talk(call, {relayOnly: true}); })`, nil, nil)
	ann.run(`const call = await client.calls.call(arg); await talk(call, {relayOnly: true})`, bobID, nil)
	for _, p := range []page{ann, bob} {
		p.run(`await until('the media', () => window.media);
			window.renewals = 0;
			client.ice.on('renewed', () => renewals++);
			await receives();
			window.sessions = new Set();
			window.gap = 0;
			let [frames, without, at] = [0, 0, performance.now()];
			setInterval(async () => {
				sessions.add(peer.connection.localDescription.sdp.match(/ice-ufrag:(\S+)/)[1]);
				const now = await decoded(peer);
				// While the machine lets the page itself wait, nobody could see a picture.
				without = now > frames ? 0 : without + Math.min(performance.now() - at, 200);
				[frames, at] = [Math.max(frames, now), performance.now()];
				gap = Math.max(gap, Math.round(without));
			}, 100)`, nil, nil)
	}
	// A relay ends with its credential: three of them are over by then.
	for _, p := range []page{ann, bob} {
		var way []string
		p.run(`await until('three renewals', () => renewals >= 3);
			await until('other relays', () => sessions.size >= 4);
			await receives();
			const stats = await peer.connection.getStats();
			const pairs = [...stats.values()].filter(({type, nominated, state}) => type === 'candidate-pair' && nominated && state === 'succeeded');
			return [call.state, ...new Set(pairs.map(({localCandidateId}) => stats.get(localCandidateId).candidateType))]`, nil, &way)
		var gap int
		p.run(`return gap`, nil, &gap)
		t.Logf("%s was without a new picture for %d ms at most", p.name, gap)
		if gap > longestGap {
			t.Errorf("%s was without a new picture for %d ms, want at most %d", p.name, gap, longestGap)
		}
		if len(way) != 2 || way[0] != "accepted" || way[1] != "relay" {
			t.Errorf("%s's call goes by %q", p.name, way)
		}
	}
	ann.run(`await call.hangup()`, nil, nil)
}
