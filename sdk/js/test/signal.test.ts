import assert from 'node:assert/strict';
import { test } from 'node:test';
import { afterClose } from '../dist/closing.js';
import { UsherError } from '../dist/error.js';
import { parse } from '../dist/messages.js';
import { Presence } from '../dist/presence.js';
import { Signal } from '../dist/signal.js';
import { FakeServer, settled, world } from './fakes.js';

const open = (signIn: (wanted: { readonly fresh: boolean }) => string | Promise<string> = () => 'token') => {
  const server = new FakeServer();
  const w = world({ WebSocket: server.WebSocket });
  const signal = new Signal(w.env, 'http://host', signIn);
  const told: string[] = [];
  signal.on('refused', (error) => told.push(`refused ${error.code}`));
  signal.on('lost', () => told.push('lost'));
  signal.on('stopped', (error) => told.push(`stopped ${error.code}`));
  signal.on('hello', ({ resumed }) => told.push(resumed ? 'resumed' : 'hello'));
  return { ...w, server, signal, told };
};

test('a lost socket is resumed, call events come once, and a final close stops it', async () => {
  const { server, signal, told, clock } = open();
  const events: (number | undefined)[] = [];
  signal.on('call', (event) => events.push(event.seq));
  const connected = signal.connect();
  await settled();
  server.socket.greet();
  await connected;
  assert.deepEqual(server.socket.sent[0], { action: 'auth', payload: { token: 'token' } });
  const event = { action: 'call.cancel', ts: 1, callId: 'c', seq: 1, call: { state: 'ended' } };
  server.socket.says(event);
  assert.deepEqual(server.socket.sent.at(-1), { action: 'ack', seq: 1 });
  const repeated = signal.request({ action: 'sdp', to: 'b' }, { repeatable: true });
  const once = signal.request({ action: 'note', to: 'b' });
  server.socket.breaks();
  await assert.rejects(once, { code: 'connection_lost' });
  const waiting = signal.request({ action: 'later', to: 'b' });
  await clock.pass(500);
  server.socket.greet(true);
  assert.deepEqual(server.socket.sent.map(({ action }) => action), ['resume', 'sdp', 'later']);
  assert.deepEqual(server.socket.sent[0]?.payload, { token: 'r', seq: 1 });
  server.socket.says(event);
  assert.deepEqual(events, [1]);
  server.socket.acks('sdp');
  server.socket.acks('later');
  await Promise.all([repeated, waiting]);
  server.socket.breaks(4403, 'revoked');
  assert.deepEqual(told, ['hello', 'lost', 'resumed', 'stopped forbidden']);
  await clock.pass(1_000_000);
  assert.equal(server.sockets.length, 2);
  assert.equal(clock.waiting, 0);
  await assert.rejects(signal.request({ action: 'note' }), { code: 'not_connected' });
});

test('a server that restarts says when to come back', async () => {
  const { server, signal, told, clock } = open();
  const after: (number | undefined)[] = [];
  signal.on('lost', (error) => after.push(error.retryAfter));
  void signal.connect();
  await settled();
  server.socket.greet();
  server.socket.says({ action: 'error', payload: { code: 'restarting', message: 'Later.', retryAfter: 7.5 } });
  server.socket.breaks(1012);
  await clock.pass(7499);
  assert.equal(server.sockets.length, 1);
  await clock.pass(1);
  assert.equal(server.sockets.length, 2);
  server.socket.greet();
  server.socket.breaks(); // says nothing
  assert.deepEqual(after, [7.5, undefined]);
  assert.deepEqual(told, ['hello', 'lost', 'hello', 'lost']);
  signal.close();
});

test('a new session loses what was meant for the last one, and keeps what is to be said anew', async () => {
  const { server, signal, clock } = open();
  void signal.connect();
  await settled();
  server.socket.greet();
  const kept = signal.request({ action: 'call.accept', callId: 'c' }, { anew: true });
  const lost = signal.request({ action: 'sdp', callId: 'c' }, { repeatable: true });
  server.socket.breaks(4404);
  await assert.rejects(lost, { code: 'connection_lost' });
  await clock.pass(1000);
  server.socket.greet();
  assert.deepEqual(server.socket.sent.map(({ action }) => action), ['auth', 'call.accept']);
  server.socket.acks('call.accept');
  await kept;
  signal.close();
});

test('a token that is refused is asked for anew, and after that it is final', async () => {
  const wanted: boolean[] = [];
  const { server, signal, told, clock } = open(({ fresh }) => (wanted.push(fresh), 'token'));
  void signal.connect().catch(() => {});
  for (let i = 0; i < 3; i++) {
    await clock.pass(5000);
    server.socket.says({ action: 'error', payload: { code: 'credentials_invalid', message: 'No.' } });
    server.socket.breaks(4401, 'no');
  }
  await clock.pass(1_000_000);
  assert.deepEqual(wanted, [false, true, true]);
  assert.equal(told.at(-1), 'stopped unauthenticated');
});

test('a token is renewed when the server says so, without end for one whose whole life is short', async () => {
  let tokens = 0;
  const { server, signal, clock, told } = open(() => `token${++tokens}`);
  void signal.connect();
  await settled();
  server.socket.greet();
  server.socket.says({ action: 'auth', payload: { expiresIn: 60 } });
  await clock.pass(0);
  await clock.pass(1);
  assert.deepEqual(server.socket.last('auth').payload, { token: 'token2' });
  for (let i = 0; i < 10; i++) {
    server.socket.says({ action: 'auth', payload: { expiresIn: 4 } });
    await clock.pass(500);
  }
  assert.ok(tokens <= 6, `${tokens} tokens in 5 s`);
  assert.deepEqual(told, ['hello']);
  signal.close();
});

test('a sign-in that passes is tried again, and one that is final is not', async () => {
  let attempts = 0;
  const { signal, clock, told } = open(() => {
    if (++attempts < 3) throw new UsherError('unreachable', 'Later.');
    throw new UsherError('sign_in_refused', 'No.', { final: true });
  });
  await assert.rejects(Promise.all([signal.connect(), clock.pass(60_000)]), { code: 'sign_in_refused' });
  assert.equal(attempts, 3);
  assert.deepEqual(told, ['lost', 'lost', 'stopped sign_in_refused']);
});

test('a server that is silent is asked, and given up', async () => {
  const { server, signal, clock, told } = open();
  void signal.connect();
  await settled();
  server.socket.greet();
  await clock.pass(20_000);
  assert.equal(server.socket.count('ping'), 1);
  server.socket.says({ action: 'pong' });
  await clock.pass(20_000);
  assert.equal(server.socket.count('ping'), 2);
  await clock.pass(10_000);
  assert.deepEqual(told, ['hello', 'lost']);
  await clock.pass(1000);
  assert.equal(server.sockets.length, 2);
  await clock.pass(15_000); // it does not greet
  assert.deepEqual(told, ['hello', 'lost', 'lost']);
  signal.close();
});

test('a server that restarts says when to come back', async () => {
  const { server, signal, told, clock } = open();
  const waits: (number | undefined)[] = [];
  signal.on('lost', ({ retryAfter }) => waits.push(retryAfter));
  void signal.connect();
  await settled();
  server.socket.greet();
  server.socket.says({ action: 'error', payload: { code: 'restarting', message: 'Later.', retryAfter: 7.5 } });
  server.socket.breaks(1012);
  await clock.pass(7499);
  assert.equal(server.sockets.length, 1);
  await clock.pass(1);
  assert.equal(server.sockets.length, 2);
  server.socket.greet();
  server.socket.breaks(); // without a word
  assert.deepEqual(waits, [7.5, undefined]);
  assert.deepEqual(told, ['hello', 'lost', 'hello', 'lost']);
  signal.close();
});

test('a page that wakes comes back at once', async () => {
  const { server, signal, clock, wake } = open();
  void signal.connect();
  await settled();
  server.socket.greet();
  for (let i = 0; i < 8; i++) {
    server.socket.breaks();
    await clock.pass(60_000);
  }
  server.socket.breaks(1013);
  const before = server.sockets.length;
  wake();
  await settled();
  assert.equal(server.sockets.length, before + 1);
  signal.close();
});

test('nothing that a server sends breaks the client', async () => {
  const { server, signal, told, clock } = open();
  const presence = new Presence(signal);
  void signal.connect();
  await settled();
  const actions = ['hello', 'auth', 'pong', 'ack', 'error', 'presence', 'contacts.changed', 'call.invite', 'call.cancel', 'room.joined', 'room.roster', 'room.rights', 'room.left', 'sdp', 'toString', '__proto__', ''];
  const values = [undefined, null, 7, 'x', [], [null], {}, { call: null }, { presence: [null] }, { userId: 'u', connection: 'c', presence: [], resume: {} }, { participants: [{}] }, { expiresIn: 'soon' }, { code: 7 }, { permissions: 'all' }];
  const hostile: unknown[] = [7, null, 'x', [], {}, { action: 7 }, '{', '', 'null'];
  for (const action of actions) {
    for (const value of values) {
      hostile.push({ action, payload: value }, { action, call: value, callId: 'c', from: 'x' }, { action, room: 'r', payload: value }, { action, ref: value, callId: value, from: value });
    }
  }
  for (const message of hostile) server.socket.says(message);
  assert.equal(signal.state, 'connecting', 'none of them is a greeting');
  server.socket.greet();
  assert.equal(signal.state, 'open');
  for (const message of hostile) server.socket.says(message);
  await clock.pass(0);
  assert.equal(signal.state, 'open');
  assert.deepEqual(told.filter((line) => !line.startsWith('refused')), ['hello']);
  assert.equal(presence.of('x'), 'offline');
  signal.close();
});

test('messages are told apart by what they are', () => {
  const kind = (message: unknown): string | undefined => parse(JSON.stringify(message))?.kind;
  assert.equal(kind({ action: 'room.message', room: 'r', from: 'b', fromConnection: 'c', payload: 'hello' }), 'relay');
  assert.equal(kind({ action: 'call.taken', ts: 1, callId: 'c', seq: 3, call: { state: 'accepted', by: 'm' } }), 'call');
  assert.equal(kind({ action: 'call.taken', ts: 1, callId: 'c', seq: '3', call: {} }), undefined);
  assert.equal(kind({ action: 'room.left', room: 'r', payload: { reason: 'left' } }), 'room');
  assert.equal(kind({ action: 'sdp', from: 7 }), undefined);
  assert.equal(parse(new ArrayBuffer(1)), undefined);
});

test('presence is what the server says, until it says something else', async () => {
  const { server, signal, clock } = open();
  const presence = new Presence(signal);
  const told: string[] = [];
  presence.on('changed', ({ userId, status }) => told.push(`${userId} ${status}`));
  void signal.connect();
  await settled();
  server.socket.greet(false, [{ userId: 'ann', status: 'online' }, { userId: 'bob', status: 'busy' }]);
  presence.say('away');
  server.socket.says({ action: 'presence', payload: { userId: 'ann', status: 'away', online: true } });
  server.socket.says({ action: 'presence', payload: { userId: 'ann', status: 'away', online: true } });
  server.socket.breaks(4404);
  await clock.pass(1000);
  server.socket.greet(false, [{ userId: 'ann', status: 'online' }]);
  assert.deepEqual(told, ['ann online', 'bob busy', 'ann away', 'bob offline', 'ann online']);
  assert.deepEqual(server.socket.last('presence').payload, { status: 'away' }, 'a new session is told again');
  signal.close();
  assert.equal(presence.of('ann'), 'offline');
});

test('each close code says how to come back', () => {
  for (const code of [1000, 1002, 1003, 1007, 1009, 4403, 4409]) assert.equal(afterClose(code, '').how, 'never', String(code));
  for (const code of [1001, 1006, 1011, 1012, 1013, 4401, 4404, 4406, 4429]) assert.equal(afterClose(code, '').how, 'again', String(code));
});
