import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CandidateBatch } from '../dist/candidates.js';
import { Peer, type PeerMessage } from '../dist/peer.js';
import { asStream, FakeConnection, FakeStream, FakeTrack, FakeWebRTC, settled, world, type World } from './fakes.js';

/** Peers that talk to each other, by wires that a test can hold up. */
class Pair {
  readonly wires: { readonly to: Peer; readonly message: PeerMessage }[] = [];
  readonly told: string[] = [];
  readonly ann: Peer; // makes the first offer
  readonly bob: Peer;

  constructor(readonly world: World) {
    this.ann = this.#peer('ann', true);
    this.bob = this.#peer('bob', false);
  }

  #peer(name: string, initiator: boolean): Peer {
    const peer: Peer = new Peer({
      env: this.world.env,
      iceServers: [],
      initiator,
      polite: !initiator,
      send: (action, payload) => this.wires.push({ to: peer === this.ann ? this.bob : this.ann, message: { action, payload: structuredClone(payload) } }),
    });
    for (const event of ['connected', 'restarting', 'failed'] as const) {
      peer.on(event, (detail: unknown) => this.told.push(`${name} ${event}${detail instanceof Error ? ` ${(detail as { code?: string }).code}` : ''}`));
    }
    return peer;
  }

  /** deliver brings what is under way to the other side, until nothing is; chance says which wire is next. */
  async deliver(chance: () => number = () => 0): Promise<void> {
    await settled();
    while (this.wires.length > 0) {
      const to = this.wires[Math.floor(chance() * this.wires.length)]?.to;
      const [next] = this.wires.splice(this.wires.findIndex((wire) => wire.to === to), 1); // each wire keeps its order
      next?.to.receive(next.message);
      if (chance() < 0.7 || this.wires.length === 0) await settled();
    }
  }

  /** agreed is whether both sides have the same in force. */
  get agreed(): boolean {
    const [ann, bob] = [fake(this.ann), fake(this.bob)];
    const same = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other);
    return ann.signalingState === 'stable' && bob.signalingState === 'stable' && same(ann.localDescription, bob.remoteDescription) && same(bob.localDescription, ann.remoteDescription);
  }

  become(state: string): void {
    fake(this.ann).becomes(state);
    fake(this.bob).becomes(state);
  }
}

const fake = (peer: Peer): FakeConnection => peer.connection as unknown as FakeConnection;
const pair = (): Pair => new Pair(world({ RTCPeerConnection: FakeWebRTC }));
const camera = (): FakeStream => new FakeStream(new FakeTrack('audio'), new FakeTrack('video'));

test('only one side makes the first offer, whatever both want to send', async () => {
  const p = pair();
  p.bob.add({ kind: 'camera', stream: asStream(camera()) });
  await settled();
  assert.deepEqual(p.wires, []);
  p.ann.add({ kind: 'camera', stream: asStream(camera()) });
  await p.deliver();
  assert.ok(p.agreed);
  assert.equal(fake(p.bob).rollbacks + fake(p.ann).rollbacks, 0);
});

test('both sides change what they send at any time, and agree in the end', async () => {
  for (let seed = 1; seed <= 300; seed++) {
    let state = seed;
    const chance = (): number => (state = (state * 16807) % 2147483647) / 2147483647;
    const p = pair();
    p.ann.add({ kind: 'camera', stream: asStream(camera()) });
    await p.deliver(chance);
    for (let i = 0; i < 6; i++) {
      if (chance() < 0.6) p.ann.add({ kind: 'screen', stream: asStream(camera()) });
      if (chance() < 0.6) p.bob.add({ kind: 'screen', stream: asStream(camera()) });
      if (chance() < 0.5) await settled();
      if (chance() < 0.5) await p.deliver(chance);
    }
    await p.deliver(chance);
    assert.ok(p.agreed, `with the seed ${seed}`);
    assert.equal(fake(p.ann).rollbacks, 0, 'the impolite side gives way');
    assert.deepEqual(p.told, []);
  }
});

test('candidates that come before the description wait for it', async () => {
  const p = pair();
  p.bob.receive({ action: 'candidates', payload: { candidates: [{ candidate: 'one' }] } });
  p.bob.receive({ action: 'candidate', payload: { candidate: { candidate: 'two' } } });
  await settled();
  assert.deepEqual(fake(p.bob).candidates, []);
  p.ann.add({ kind: 'camera', stream: asStream(camera()) });
  await p.deliver();
  assert.deepEqual(fake(p.bob).candidates, [{ candidate: 'one' }, { candidate: 'two' }]);
});

test('no more candidates wait than may', async () => {
  const p = pair();
  for (let i = 0; i < 300; i++) p.bob.receive({ action: 'candidate', payload: { candidate: { candidate: String(i) } } });
  p.ann.add({ kind: 'camera', stream: asStream(camera()) });
  await p.deliver();
  assert.deepEqual(fake(p.bob).candidates.length, 256);
});

test('candidates are sent a few at a time', async () => {
  const { clock, env } = world();
  const sent: unknown[] = [];
  const batch = new CandidateBatch(env, (candidates) => sent.push(candidates.map((one) => one?.candidate ?? null)));
  for (const candidate of ['a', 'b', 'c']) batch.add({ candidate });
  assert.deepEqual(sent, []);
  await clock.pass(50);
  batch.add({ candidate: 'd' });
  batch.add(null);
  assert.deepEqual(sent, [['a', 'b', 'c'], ['d', null]]);
  batch.add({ candidate: 'e' });
  batch.clear();
  await clock.pass(1000);
  assert.equal(sent.length, 2);
});

test('an offer that gets no answer is sent again', async () => {
  const p = pair();
  p.ann.add({ kind: 'camera', stream: asStream(camera()) });
  await settled();
  assert.equal(p.wires.length, 1);
  p.wires.splice(0); // lost
  await p.world.clock.pass(10_000);
  assert.equal(p.wires.length, 1);
  p.wires.push(...p.wires); // and once more, as after a lost socket
  await p.deliver();
  assert.ok(p.agreed);
  assert.deepEqual(p.told, []);
});

test('a lost connection restarts ICE, and only what is in vain has failed', async () => {
  const p = pair();
  p.ann.add({ kind: 'camera', stream: asStream(camera()) });
  await p.deliver();
  p.become('connected');
  await p.world.clock.pass(60_000);
  assert.deepEqual(p.told.splice(0), ['ann connected', 'bob connected']);

  p.become('disconnected');
  await p.world.clock.pass(2000);
  p.become('connected'); // it was nothing
  await p.world.clock.pass(60_000);
  assert.deepEqual(p.told.splice(0), ['ann connected', 'bob connected']);
  assert.equal(fake(p.ann).restarts + fake(p.bob).restarts, 0);

  p.become('disconnected');
  await p.world.clock.pass(3000);
  assert.deepEqual(p.told.splice(0), ['ann restarting'], 'the polite side leaves the restart to the other');
  await p.deliver();
  p.become('connected');
  assert.deepEqual(p.told.splice(0), ['ann connected', 'bob connected']);

  p.become('failed');
  for (let i = 0; i < 60; i++) {
    await p.world.clock.pass(1000);
    await p.deliver();
  }
  assert.ok(fake(p.ann).restarts > 3);
  assert.deepEqual(p.told.filter((line) => line.includes('failed')), ['ann failed ice_failed', 'bob failed ice_failed']);
  const before = fake(p.ann).restarts;
  await p.world.clock.pass(600_000);
  assert.equal(fake(p.ann).restarts, before, 'what has failed is left alone');
});

test('what never connects is restarted, and then has failed', async () => {
  const p = pair();
  p.ann.add({ kind: 'camera', stream: asStream(camera()) });
  await p.deliver();
  for (let i = 0; i < 60; i++) {
    await p.world.clock.pass(1000);
    await p.deliver();
  }
  assert.ok(fake(p.ann).restarts > 0);
  assert.deepEqual(p.told.filter((line) => line.includes('failed')), ['ann failed ice_failed', 'bob failed ice_failed']);
});

test('a relay in use is left before its credential ends, by one side alone, and no other way is', async () => {
  const p = pair();
  p.ann.add({ kind: 'camera', stream: asStream(camera()) });
  await p.deliver();
  p.become('connected');
  const by = (type: string): void => {
    for (const peer of [p.ann, p.bob]) {
      fake(peer).stats = [
        ['p', { type: 'candidate-pair', nominated: true, localCandidateId: 'l' }],
        ['l', { type: 'local-candidate', candidateType: type }],
      ];
    }
  };
  const renew = async (): Promise<void> => {
    p.ann.useIceServers([{ urls: 'turn:other' }]);
    p.bob.useIceServers([{ urls: 'turn:other' }]);
    for (let i = 0; i < 10; i++) {
      await p.world.clock.pass(1000);
      await p.deliver();
    }
  };
  by('srflx');
  await renew();
  assert.deepEqual([fake(p.ann).restarts, fake(p.bob).restarts], [0, 0]);
  assert.match(JSON.stringify(fake(p.ann).configuration), /turn:other/);
  by('relay');
  await renew();
  assert.deepEqual([fake(p.ann).restarts, fake(p.bob).restarts], [1, 0], 'a restart renews both sides');
  p.bob.useIceServers([{ urls: 'turn:third' }]);
  await p.world.clock.pass(5000);
  assert.equal(fake(p.bob).restarts, 1);
  await p.deliver();
  assert.ok(p.agreed);
  assert.ok(!p.told.some((line) => line.includes('restarting')));
});

test('a page that wakes restarts what is broken, and a closed peer does nothing more', async () => {
  const p = pair();
  p.ann.add({ kind: 'camera', stream: asStream(camera()) });
  await p.deliver();
  p.become('connected');
  p.become('disconnected');
  p.world.wake();
  assert.ok(p.told.includes('ann restarting'));
  await p.deliver();
  p.ann.close();
  p.bob.close();
  p.told.splice(0);
  p.world.wake();
  p.ann.receive({ action: 'sdp', payload: { description: { type: 'offer', sdp: 'offer 1' } } });
  await p.world.clock.pass(600_000);
  assert.deepEqual(p.told, []);
  assert.equal(p.world.clock.waiting, 0, 'timers are left');
});

test('what is no negotiation is left alone, and an SDP that is none ends it', async () => {
  const p = pair();
  p.ann.add({ kind: 'camera', stream: asStream(camera()) });
  await p.deliver();
  const nothing = [
    { action: 'note', payload: 'hello' },
    { action: 'sdp' },
    { action: 'sdp', payload: null },
    { action: 'sdp', payload: { description: 7 } },
    { action: 'sdp', payload: { description: { type: 'rollback', sdp: '' } } },
    { action: 'sdp', payload: { description: { type: 'answer', sdp: 'answer 999' } } },
    { action: 'sdp', payload: { description: { type: 'offer' } } },
    { action: 'candidate' },
    { action: 'candidates', payload: { candidates: 'many' } },
    { action: 'candidates', payload: [7, 'x'] },
  ];
  for (const message of nothing) p.bob.receive(message);
  await p.deliver();
  assert.deepEqual(p.told, []);
  assert.ok(p.agreed);
  p.bob.receive({ action: 'sdp', payload: { description: { type: 'offer', sdp: 'nonsense' }, streams: 'x' } });
  p.bob.receive({ action: 'sdp', payload: { description: { type: 'offer', sdp: 'nonsense' } } });
  await settled();
  assert.deepEqual(p.told, ['bob failed negotiation_failed'], 'it is said once');
});

test('tracks are known by what their stream shows, until they go', async () => {
  const p = pair();
  const screen = new FakeStream(new FakeTrack('video'));
  p.ann.add({ kind: 'screen', stream: asStream(screen) });
  await p.deliver();
  const told: string[] = [];
  p.bob.on('track', ({ kind }) => told.push(`came ${kind}`));
  p.bob.on('trackgone', ({ kind }) => told.push(`went ${kind}`));
  const [track] = screen.tracks;
  assert.ok(track);
  fake(p.bob).ontrack?.({ track, streams: [screen] });
  assert.equal(p.bob.tracks.length, 1);
  screen.dispatchEvent(Object.assign(new Event('removetrack'), { track }));
  screen.dispatchEvent(Object.assign(new Event('removetrack'), { track }));
  assert.deepEqual(told, ['came screen', 'went screen']);
  assert.equal(p.bob.tracks.length, 0);
});

test('the quality of a connection is told while there is one', async () => {
  const p = pair();
  const told: string[] = [];
  p.ann.on('quality', ({ level, rtt, loss, sending, receiving }) => told.push(`${level} ${rtt} ${loss.toFixed(2)} ${sending} ${receiving}`));
  const stats = (seconds: number, rtt: number, lost: number): void => {
    fake(p.ann).stats = [
      ['p', { type: 'candidate-pair', nominated: true, currentRoundTripTime: rtt, timestamp: seconds * 1000 }],
      ['o', { type: 'outbound-rtp', bytesSent: seconds * 1000 }],
      ['i', { type: 'inbound-rtp', bytesReceived: seconds * 2000, packetsReceived: seconds * 100 - lost, packetsLost: lost }],
    ];
  };
  stats(1, 0.02, 0);
  await p.world.clock.pass(10_000);
  assert.deepEqual(told, []);
  fake(p.ann).becomes('connected');
  await p.world.clock.pass(3000);
  stats(4, 0.3, 0);
  await p.world.clock.pass(3000);
  stats(7, 0.02, 60);
  await p.world.clock.pass(3000);
  stats(10, 0.02, 60); // no more than before
  await p.world.clock.pass(3000);
  assert.deepEqual(told, ['good 20 0.00 0 0', 'fair 300 0.00 8000 16000', 'poor 20 0.20 8000 16000', 'good 20 0.00 8000 16000']);
  fake(p.ann).becomes('disconnected');
  await p.world.clock.pass(30_000);
  assert.equal(told.length, 4);
});
