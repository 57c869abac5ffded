import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Calls, type Call } from '../dist/calls.js';
import { Signal } from '../dist/signal.js';
import { FakeServer, settled, world } from './fakes.js';

const open = async () => {
  const server = new FakeServer();
  const w = world({ WebSocket: server.WebSocket });
  const signal = new Signal(w.env, 'http://host', () => 'token');
  const calls = new Calls(w.env, signal);
  const told: string[] = [];
  const incoming: Call[] = [];
  const watch = (call: Call): Call => {
    call.on('ringing', () => told.push('rings'));
    call.on('accepted', () => told.push('accepted'));
    call.on('ended', ({ reason, elsewhere }) => told.push(`ended ${reason}${elsewhere ? ' elsewhere' : ''}`));
    return call;
  };
  calls.on('incoming', (call) => {
    incoming.push(watch(call));
    told.push(`incoming ${call.peer}`);
  });
  calls.on('missed', ({ from, reason }) => told.push(`missed ${from} ${reason}`));
  void signal.connect();
  await settled();
  server.socket.greet();
  let seq = 0;
  const happens = (action: string, callId: string, call: object, more: object = {}): void =>
    server.socket.says({ action, ts: 1, callId, seq: ++seq, call, ...more });
  /** calls somebody, and has the server take the invite. */
  const dial = async (): Promise<Call> => {
    const dialing = calls.call('bob', { video: true });
    server.socket.acks('call.invite', { state: 'ringing', expiresIn: 60 });
    return watch(await dialing);
  };
  /** another gives the client a new session. */
  const another = async (): Promise<void> => {
    server.socket.breaks(4404);
    await w.clock.pass(1000);
    seq = 0;
    server.socket.greet();
    await settled();
  };
  return { ...w, server, signal, calls, told, incoming, happens, dial, another };
};

test('a call rings, is accepted, and is hung up', async () => {
  const { server, told, happens, dial, calls } = await open();
  const call = await dial();
  assert.deepEqual([call.state, call.offers, server.socket.last('call.invite').to, server.socket.last('call.invite').payload], ['ringing', true, 'bob', { video: true }]);
  happens('call.ringing', call.id, { state: 'ringing' });
  happens('call.accept', call.id, { state: 'accepted' }, { from: 'bob', payload: { yes: true } });
  call.connected();
  call.connected();
  assert.equal(server.socket.count('call.connected'), 1);
  const hungUp = call.hangup();
  server.socket.acks('call.hangup');
  await hungUp;
  assert.deepEqual(told, ['rings', 'accepted', 'ended user_hangup']);
  assert.deepEqual(calls.list(), []);
  await call.hangup();
  assert.equal(server.socket.count('call.hangup'), 1);
});

test('who calls finds that it rings there, also where that came with the answer', async () => {
  const { server, calls, happens } = await open();
  const dialing = calls.call('bob');
  server.socket.acks('call.invite', { state: 'ringing', expiresIn: 60 });
  const [dialed] = calls.list();
  assert.ok(dialed !== undefined && !dialed.rang);
  happens('call.ringing', dialed.id, { state: 'ringing' });
  assert.equal((await dialing).rang, true);
});

test('each end of a call is told once, and by its name', async () => {
  const ends: readonly (readonly [string, object, string])[] = [
    ['call.reject', { state: 'ended', reason: 'rejected' }, 'ended rejected'],
    ['call.busy', { state: 'ended', reason: 'user_busy' }, 'ended user_busy'],
    ['call.hangup', { state: 'ended', reason: 'invite_timeout' }, 'ended invite_timeout'],
    ['call.cancel', { state: 'ended' }, 'ended cancelled'],
    ['call.taken', { state: 'accepted', by: 'x' }, 'ended taken elsewhere'],
  ];
  for (const [action, call, want] of ends) {
    const { told, happens, dial } = await open();
    const mine = await dial();
    happens(action, mine.id, call);
    happens(action, mine.id, call);
    assert.deepEqual(told, [want]);
  }
});

test('who is called answers, declines, or hears that it was answered elsewhere', async () => {
  const o = await open();
  o.happens('call.request', 'c1', { state: 'ringing', name: 'Ann', email: 'ann@example.org', expiresIn: 60 }, { from: 'ann' });
  const [call] = o.incoming;
  assert.ok(call);
  assert.deepEqual([call.stranger, call.name, call.email, call.offers, call.saved], [true, 'Ann', 'ann@example.org', false, undefined]);
  const accepting = call.accept();
  o.server.socket.refuses('call.accept', 'call_taken');
  await assert.rejects(accepting, { code: 'call_taken' });

  o.happens('call.invite', 'c2', { state: 'ringing', expiresIn: 60 }, { from: 'ann' });
  const rejecting = o.incoming[1]?.hangup();
  o.server.socket.refuses('call.reject', 'call_over'); // it was cancelled at the same moment
  await rejecting;

  o.happens('call.invite', 'c3', { state: 'ringing', expiresIn: 60 }, { from: 'ann' });
  o.happens('call.cancel', 'c3', { state: 'ended', reason: 'cancelled' });
  o.happens('call.missed', 'c3', { state: 'ended', reason: 'cancelled' }, { from: 'ann' });
  assert.deepEqual(o.told, ['incoming ann', 'ended taken elsewhere', 'incoming ann', 'ended rejected', 'incoming ann', 'ended cancelled', 'missed ann cancelled']);
});

test('a call that the server forgets ends by itself', async () => {
  const o = await open();
  o.happens('call.invite', 'c1', { state: 'ringing', expiresIn: 5 }, { from: 'ann' });
  await o.clock.pass(14_999);
  assert.equal(o.told.length, 1);
  o.server.socket.says({ action: 'pong' });
  await o.clock.pass(1);
  assert.deepEqual(o.told, ['incoming ann', 'ended invite_timeout']);
});

test('two people who call each other have one call', async () => {
  const o = await open();
  const mine = await o.dial();
  o.happens('call.accept', 'theirs', { state: 'accepted', merged: mine.id }, { from: 'bob' });
  assert.deepEqual([mine.id, mine.state, mine.offers], ['theirs', 'accepted', false]);
  assert.deepEqual(o.calls.list(), [mine]);
  o.happens('call.hangup', 'theirs', { state: 'ended', reason: 'user_hangup' });
  assert.deepEqual(o.told, ['accepted', 'ended user_hangup']);
});

test('what the other side says waits for whoever listens, and others say nothing in a call', async () => {
  const o = await open();
  const call = await o.dial();
  const says = (from: string, payload: unknown): void => o.server.socket.says({ action: 'note', from, fromConnection: 'x', callId: call.id, ts: 1, payload });
  says('bob', 1);
  says('eve', 2);
  const heard: unknown[] = [];
  const end = call.inbox.open(({ payload }) => heard.push(payload));
  says('bob', 3);
  end();
  assert.deepEqual(heard, [1, 3]);
});

test('an invite that was under way is made in the next session', async () => {
  const o = await open();
  const dialing = o.calls.call('bob');
  await o.another();
  assert.equal(o.server.socket.count('call.invite'), 1);
  o.server.socket.acks('call.invite', { state: 'ringing', expiresIn: 60 });
  assert.equal((await dialing).state, 'ringing');
});

test('in a new session each side says again what it said last', async () => {
  const rings = await open();
  const ringing = await rings.dial();
  await rings.another();
  assert.deepEqual([rings.server.socket.last('call.invite').callId, rings.server.socket.last('call.invite').payload], [ringing.id, { video: true }]);
  rings.server.socket.acks('call.invite', { state: 'accepted' }); // meanwhile
  await settled();
  assert.deepEqual([ringing.state, rings.told], ['accepted', ['accepted']]);
  await rings.another();
  assert.equal(rings.server.socket.count('call.invite'), 1);
  ringing.connected();
  rings.server.socket.acks('call.connected');
  await rings.another();
  assert.equal(rings.server.socket.count('call.connected'), 1);

  const called = await open();
  called.happens('call.invite', 'c1', { state: 'ringing', expiresIn: 60 }, { from: 'ann' });
  await called.another();
  assert.deepEqual(called.server.socket.sent.map(({ action }) => action), ['auth'], 'what rings here is told again');
  const accepting = called.incoming[0]?.accept();
  called.server.socket.acks('call.accept');
  await accepting;
  await called.another();
  assert.equal(called.server.socket.count('call.accept'), 1);
  called.server.socket.acks('call.accept');
  await settled();
  assert.equal(called.incoming[0]?.state, 'accepted');
});

test('a call whose device the server has not missed yet is asked for again, and one that is over has ended', async () => {
  const o = await open();
  const call = await o.dial();
  o.happens('call.accept', call.id, { state: 'accepted' });
  call.connected();
  o.server.socket.acks('call.connected');
  let back = 0;
  call.on('rejoined', () => back++);
  await o.another();
  for (let i = 0; i < 3; i++) {
    o.server.socket.refuses('call.connected', 'call_taken');
    await o.clock.pass(5000);
    o.server.socket.says({ action: 'pong' });
  }
  assert.equal(o.server.socket.count('call.connected'), 4);
  assert.deepEqual([call.state, back], ['accepted', 0]);
  o.server.socket.acks('call.connected');
  await settled();
  assert.equal(back, 1);
  await o.another();
  o.server.socket.refuses('call.connected', 'call_over', 'too_long');
  await settled();
  assert.deepEqual(o.told, ['accepted', 'ended too_long']);

  const never = await open();
  const taken = await never.dial();
  await never.another();
  for (let i = 0; i < 60 && taken.state !== 'ended'; i++) {
    never.server.socket.refuses('call.invite', 'call_exists');
    await never.clock.pass(1000);
    never.server.socket.says({ action: 'pong' });
  }
  assert.equal(taken.reason, 'connection_lost');
});

test('a page that is loaded again goes on with its call', async () => {
  const before = await open();
  const call = await before.dial();
  before.happens('call.accept', call.id, { state: 'accepted' });
  call.connected();
  const saved = JSON.parse(JSON.stringify(call.saved)) as NonNullable<typeof call.saved>;

  const o = await open();
  const going = o.calls.goOn(saved);
  assert.deepEqual([o.server.socket.last('call.connected').callId, o.server.socket.last('call.connected').to], [call.id, 'bob']);
  o.server.socket.acks('call.connected');
  const same = await going;
  assert.deepEqual([same.state, same.peer, same.offers, same.resumed, same.id], ['accepted', 'bob', true, true, call.id]);
  o.happens('call.hangup', call.id, { state: 'ended', reason: 'user_hangup' });
  assert.equal(same.reason, 'user_hangup');

  const over = o.calls.goOn(saved);
  o.server.socket.refuses('call.connected', 'call_over', 'user_hangup');
  await assert.rejects(over, { code: 'call_over', reason: 'user_hangup' });
  const unknown = o.calls.goOn(saved);
  o.server.socket.refuses('call.connected', 'call_not_found');
  await assert.rejects(unknown, { code: 'call_over', reason: 'connection_lost' });
});

test('events of calls that are not here do nothing, and the end of the client ends all', async () => {
  const o = await open();
  for (const action of ['call.ringing', 'call.accept', 'call.reject', 'call.cancel', 'call.busy', 'call.taken', 'call.hangup']) o.happens(action, 'nobody', { state: 'ended', merged: 'none' });
  assert.deepEqual(o.told, []);
  const call = await o.dial();
  o.signal.close();
  assert.equal(call.reason, 'user_hangup');
});
