import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CallMedia } from '../dist/callmedia.js';
import { Calls } from '../dist/calls.js';
import { UsherError } from '../dist/error.js';
import { Mesh } from '../dist/mesh.js';
import { Renewing } from '../dist/renewing.js';
import { Rooms, type RoomLink } from '../dist/rooms.js';
import { Signal } from '../dist/signal.js';
import { Wiring } from '../dist/wiring.js';
import { FakeConnection, FakeServer, FakeStream, FakeTrack, FakeWebRTC, settled, world, type Sent } from './fakes.js';

const permissions = ['join', 'subscribe'];

const open = async () => {
  const server = new FakeServer();
  FakeConnection.all = [];
  let n = 0;
  const w = world({ WebSocket: server.WebSocket, RTCPeerConnection: FakeWebRTC, random: () => ((n += 0.137), n % 1) });
  const signal = new Signal(w.env, 'http://host', () => 'token');
  const rooms = new Rooms(signal);
  const wiring = new Wiring(w.env, signal, new Renewing(w.env, async () => Promise.reject(new UsherError('platform_not_configured', 'None.', { final: true }))));
  const told: string[] = [];
  signal.on('refused', (error) => told.push(`refused ${error.code}`));
  void signal.connect();
  await settled();
  server.socket.greet();
  const says = (action: string, payload: unknown, more: object = {}): void => server.socket.says({ action, room: 'r', payload, ...more });
  const joined = (participant = 'm'): void => {
    says('room.joined', { participant, role: 'speaker', permissions, token: 't' }, { ref: server.socket.last('room.join').id });
  };
  const roster = (...ids: readonly string[]): void => says('room.roster', { participants: ids.map((id) => ({ id, name: id, role: 'speaker', guest: false })) });
  const relay = (from: string, action: string, payload: unknown): void => says(action, payload, { from: `user-${from}`, fromConnection: `c-${from}`, fromParticipant: from, ts: 1 });
  const join = async (): Promise<RoomLink> => {
    const joining = rooms.join({ room: 'lobby' });
    joined();
    const link = await joining;
    for (const event of ['rejoined', 'left'] as const) link.on(event, (detail) => told.push(`${event}${detail === undefined ? '' : ` ${(detail as { reason: string }).reason}`}`));
    return link;
  };
  const another = async (): Promise<void> => {
    server.socket.breaks(4404);
    await w.clock.pass(1000);
    server.socket.greet();
    await settled();
  };
  return { ...w, server, signal, rooms, wiring, told, says, joined, roster, relay, join, another };
};

test('who joins a room hears who is there, what they say, and that it is put out', async () => {
  const o = await open();
  const link = await o.join();
  const heard: unknown[] = [];
  link.on('roster', (roster) => heard.push(roster.map(({ id }) => id)));
  link.on('message', ({ participant, payload }) => heard.push([participant, payload]));
  link.on('mute', ({ payload }) => heard.push(payload));
  link.on('rights', ({ role }) => heard.push(role));
  o.roster('m', 'x');
  o.relay('x', 'room.message', { text: 'hello' });
  o.relay('x', 'room.moderate', { do: 'mute', kind: 'audio' });
  o.says('room.rights', { role: 'viewer', permissions: ['join'] });
  assert.deepEqual(heard, [['m', 'x'], ['x', { text: 'hello' }], { do: 'mute', kind: 'audio' }, 'viewer']);
  assert.deepEqual([link.role, link.permissions, link.participant], ['viewer', ['join'], 'm']);
  o.says('room.left', { reason: 'removed', message: 'Enough.' });
  o.says('room.left', { reason: 'removed' });
  o.relay('x', 'room.message', { text: 'gone' });
  assert.deepEqual(o.told, ['left removed']);
  assert.equal(heard.length, 4);
  assert.ok(link.isOut);
});

test('what a moderator does goes to whom it is for', async () => {
  const o = await open();
  const link = await o.join();
  const asked = [link.askToMute('x', 'audio'), link.remove('y', 'Enough.'), link.changeRole('z', 'host')];
  const sent = o.server.socket.sent.filter(({ action }) => action === 'room.moderate');
  assert.deepEqual(sent.map(({ to, room, payload }) => [to, room, payload]), [
    ['x', 'r', { do: 'mute', kind: 'audio' }],
    ['y', 'r', { do: 'remove', reason: 'Enough.' }],
    ['z', 'r', { do: 'role', role: 'host' }],
  ]);
  for (const { id } of sent) o.server.socket.says({ action: 'error', ref: id, payload: { code: 'permission_missing', message: 'No.' } });
  for (const one of asked) await assert.rejects(one, { code: 'permission_missing' });
});

test('a place is taken again in a new session, and lost if the server has given it away', async () => {
  const o = await open();
  const link = await o.join();
  assert.deepEqual(link.seat, { room: 'r', participant: 'm', token: 't' });
  await o.another();
  assert.deepEqual(o.server.socket.last('room.join').payload, link.seat);
  o.joined();
  await settled();
  await o.another();
  o.server.socket.breaks(4404); // once more, before the answer
  await o.clock.pass(1000);
  o.server.socket.greet();
  o.joined();
  await settled();
  assert.deepEqual(o.told, ['rejoined', 'rejoined']);
  await o.another();
  o.server.socket.refuses('room.join', 'token_invalid');
  await settled();
  assert.deepEqual(o.told, ['rejoined', 'rejoined', 'left lost']);
  await o.another();
  assert.equal(o.server.socket.count('room.join'), 0);
});

test('a join whose answer was lost is not lost', async () => {
  const o = await open();
  const joining = o.rooms.join({ room: 'lobby' });
  o.server.socket.breaks();
  await o.clock.pass(1000);
  o.server.socket.greet(true);
  o.server.socket.refuses('room.join', 'already_in_room'); // before it is told of the place that it has
  await settled();
  o.says('room.joined', { participant: 'm', role: 'speaker', permissions, token: 't' });
  const link = await joining;
  assert.equal(link.participant, 'm');
  const twice = o.rooms.join({ room: 'r' });
  o.server.socket.refuses('room.join', 'already_in_room');
  await assert.rejects(twice, { code: 'already_in_room' }, 'somebody has that place');

  const other = o.rooms.join({ room: 'other' });
  o.server.socket.breaks();
  await o.clock.pass(1000);
  o.server.socket.greet(true);
  o.server.socket.refuses('room.join', 'already_in_room');
  o.says('room.joined', { participant: 'm', role: 'speaker', permissions, token: 't' }); // the place it had before
  await settled();
  o.says('room.joined', { participant: 'n', role: 'speaker', permissions, token: 't' }, { room: 'o' });
  assert.equal((await other).room, 'o', 'in one room, and coming into another');

  const secret = o.rooms.join({ room: 's', participant: 'p', secret: 'x' });
  o.server.socket.breaks();
  await o.clock.pass(1000);
  o.server.socket.greet(true);
  o.says('room.joined', { participant: 'p', role: 'speaker', permissions, token: 't' }, { room: 's' });
  o.server.socket.refuses('room.join', 'participant_not_found'); // its secret is used up
  assert.equal((await secret).participant, 'p');

  const never = o.rooms.join({ room: 'lobby' });
  o.server.socket.refuses('room.join', 'room_full');
  await assert.rejects(never, { code: 'room_full' });
});

test('who leaves is out at once, and the end of the client ends its places', async () => {
  const o = await open();
  const link = await o.join();
  const leaving = link.leave();
  assert.ok(link.isOut);
  o.server.socket.acks('room.leave');
  await leaving;
  link.send('x', 'note', 1);
  assert.equal(o.server.socket.count('note'), 0);
  await o.join();
  o.signal.close();
  assert.deepEqual(o.told, ['left left', 'left lost']);
});

test('what others send to a newcomer before it is told that it is in waits for that', async () => {
  const o = await open();
  const joining = o.rooms.join({ room: 'lobby' });
  o.relay('x', 'sdp', 1);
  o.joined();
  const link = await joining;
  const heard: unknown[] = [];
  link.inbox.open(({ payload }) => heard.push(payload));
  assert.deepEqual(heard, [1]);
});

/** The messages of WebRTC that were sent to one participant. */
const to = (o: { readonly server: FakeServer }, participant: string): readonly Sent[] => o.server.socket.sent.filter((sent) => sent.to === participant);
const types = (sent: readonly Sent[]): readonly string[] =>
  sent.map(({ action, payload }) => (action === 'sdp' ? String((payload?.['description'] as { readonly type: string }).type) : action));

const meet = async () => {
  const o = await open();
  const link = await o.join();
  const mesh = new Mesh(link, o.wiring, undefined, {});
  for (const event of ['gone', 'failed', 'renewed', 'connected'] as const) {
    mesh.on(event, (detail: { readonly participant: string; readonly error?: UsherError }) => o.told.push(`${event} ${detail.participant}${detail.error === undefined ? '' : ` ${detail.error.code}`}`));
  }
  await settled();
  return { ...o, link, mesh };
};

test('of each two, the one whose id is the lesser makes the offer, and the other says that it is there', async () => {
  const o = await meet();
  o.roster('a', 'm', 'z');
  await settled();
  assert.deepEqual(types(to(o, 'a')), ['peer.ready']);
  assert.deepEqual(types(to(o, 'z')), ['offer']);
  o.relay('a', 'sdp', { description: { type: 'offer', sdp: 'offer 900' }, page: 'pa', offer: 1 });
  await settled();
  assert.deepEqual(types(to(o, 'a')), ['peer.ready', 'answer']);
  assert.equal(to(o, 'a').at(-1)?.payload?.['to'], 'pa');
  o.relay('z', 'peer.ready', { page: 'pz' }); // it came later than the offer: say it again
  await settled();
  assert.deepEqual(types(to(o, 'z')), ['offer', 'offer']);
});

test('who has come is connected with before the roster says so, and who has left is not', async () => {
  const o = await meet();
  o.roster('m');
  o.relay('a', 'sdp', { description: { type: 'offer', sdp: 'offer 900' }, page: 'pa' });
  await settled();
  assert.deepEqual(o.mesh.participants, ['a']);
  o.roster('m'); // older than that
  assert.deepEqual(o.mesh.participants, ['a']);
  o.roster('m', 'a');
  o.roster('m');
  assert.deepEqual(o.told, ['gone a']);
  o.relay('a', 'candidates', { candidates: [{ candidate: 'late' }], page: 'pa' });
  assert.deepEqual(o.mesh.participants, []);
  assert.ok(FakeConnection.all.every(({ closed }) => closed));
});

test('a page that was loaded again is another connection, and what was meant for the old one is dropped', async () => {
  const o = await meet();
  o.roster('m', 'z');
  await settled();
  const mine = String(to(o, 'z')[0]?.payload?.['page']);
  o.relay('z', 'sdp', { description: { type: 'answer', sdp: 'answer 901' }, page: 'p1', to: mine, offer: 1 });
  await settled();
  const [first] = FakeConnection.all;
  assert.equal(first?.signalingState, 'stable');
  o.relay('z', 'candidates', { candidates: [{ candidate: 'x' }], page: 'p1', to: 'the page before' });
  o.relay('z', 'candidates', { candidates: [{ candidate: 'y' }], page: 'p0', to: mine }); // was long under way
  await settled();
  assert.deepEqual(first?.candidates, []);
  o.relay('z', 'peer.ready', { page: 'p2' });
  await settled();
  assert.ok(first?.closed);
  assert.deepEqual(o.told, ['renewed z']);
  const offer = to(o, 'z').at(-1);
  assert.equal(offer?.payload?.['to'], 'p2');
  assert.notEqual(offer?.payload?.['page'], mine);
  o.relay('z', 'sdp', { description: { type: 'answer', sdp: 'answer 902' }, page: 'p2', to: mine, offer: 1 });
  await settled();
  assert.equal(FakeConnection.all[1]?.signalingState, 'have-local-offer', 'an answer to the connection before');
});

test('an answer by another page than the offer was for is taken, if it is to this offer', async () => {
  const o = await meet();
  o.roster('m', 'z');
  o.relay('z', 'peer.ready', { page: 'p1' });
  await settled();
  const mine = String(to(o, 'z').at(-1)?.payload?.['page']);
  o.relay('z', 'sdp', { description: { type: 'answer', sdp: 'answer 903' }, page: 'p2', to: mine, offer: 1 }); // it took another connection meanwhile
  await settled();
  assert.equal(FakeConnection.all[0]?.signalingState, 'stable');
  assert.deepEqual([o.told, FakeConnection.all.length], [[], 1]);
});

test('who wants no media any more is gone, and comes again when it says so', async () => {
  const o = await meet();
  o.roster('a', 'm');
  o.relay('a', 'sdp', { description: { type: 'offer', sdp: 'offer 903' }, page: 'pa' });
  await settled();
  o.relay('a', 'peer.bye', { page: 'another' });
  assert.deepEqual(o.told, []);
  o.relay('a', 'peer.bye', { page: 'pa' });
  assert.deepEqual(o.told, ['gone a']);
  o.relay('a', 'sdp', { description: { type: 'offer', sdp: 'offer 904' }, page: 'pb' });
  await settled();
  assert.deepEqual(o.mesh.participants, ['a']);
  o.mesh.close();
  assert.equal(to(o, 'a').at(-1)?.action, 'peer.bye');
  assert.ok(!o.link.isOut);
  assert.ok(FakeConnection.all.every(({ closed }) => closed));
});

test('a connection that fails is told, and tried again with another', async () => {
  const o = await meet();
  o.roster('m', 'z');
  await o.clock.pass(46_000);
  assert.deepEqual(o.told.filter((line) => !line.startsWith('refused')), ['failed z ice_failed']);
  await o.clock.pass(2000);
  assert.equal(FakeConnection.all.length, 2);
  assert.ok(FakeConnection.all[0]?.closed);
  assert.equal(o.told.at(-1), 'renewed z');
  o.roster('m');
  await o.clock.pass(600_000);
  assert.equal(FakeConnection.all.length, 2);
});

test('six meet, and a seventh is told of until somebody leaves', async () => {
  const o = await meet();
  o.roster('m', 'a', 'b', 'c', 'd', 'e', 'f');
  o.roster('m', 'a', 'b', 'c', 'd', 'e', 'f');
  assert.equal(o.mesh.participants.length, 5);
  assert.deepEqual(o.told, ['failed f mesh_full']);
  o.roster('m', 'b', 'c', 'd', 'e', 'f');
  assert.deepEqual(o.mesh.participants, ['b', 'c', 'd', 'e', 'f']);
});

test('the end of the place ends the media, and nothing that others send breaks it', async () => {
  const o = await meet();
  o.roster('m', 'z');
  for (const payload of [null, 7, 'x', [], {}, { page: 7, to: 7 }, { page: 'p', description: { type: 'offer', sdp: 7 } }]) {
    for (const action of ['sdp', 'candidate', 'candidates', 'peer.ready', 'peer.bye', 'note']) o.relay('z', action, payload);
    o.relay('m', 'sdp', payload); // as if from oneself
  }
  await settled();
  assert.ok(!o.told.some((line) => line.startsWith('failed')));
  o.says('room.left', { reason: 'removed' });
  assert.deepEqual(o.mesh.participants, []);
  assert.ok(FakeConnection.all.every(({ closed }) => closed));
  o.roster('m', 'z');
  assert.deepEqual(o.mesh.participants, []);
});

test('the media of a call ends with it, and a call whose media fails is hung up', async () => {
  const o = await open();
  const calls = new Calls(o.env, o.signal);
  const dial = async () => {
    const dialing = calls.call('bob');
    o.server.socket.acks('call.invite', { state: 'ringing', expiresIn: 60 });
    const call = await dialing;
    o.server.socket.says({ action: 'call.accept', ts: 1, callId: call.id, call: { state: 'accepted' }, from: 'bob' });
    const media = new CallMedia(call, o.wiring, undefined, {});
    media.on('failed', ({ code }) => o.told.push(`failed ${code}`));
    media.on('track', ({ kind }) => o.told.push(`track ${kind}`));
    await settled();
    return { call, media };
  };
  const one = await dial();
  const says = (action: string, payload: unknown): void => o.server.socket.says({ action, callId: one.call.id, from: 'bob', fromConnection: 'x', ts: 1, payload });
  assert.equal(o.server.socket.last('sdp').callId, one.call.id);
  says('sdp', { description: { type: 'answer', sdp: 'answer 905' }, streams: {} });
  await settled();
  const [pc] = FakeConnection.all;
  const stream = new FakeStream(new FakeTrack('audio'));
  pc?.ontrack?.({ track: stream.tracks[0] as FakeTrack, streams: [stream] });
  pc?.becomes('connected');
  assert.equal(o.server.socket.count('call.connected'), 1);
  assert.equal(one.media.tracks.length, 1);
  o.server.socket.says({ action: 'call.hangup', ts: 1, callId: one.call.id, call: { state: 'ended', reason: 'user_hangup' } });
  assert.ok(pc?.closed);

  const two = await dial();
  for (let i = 0; i < 60; i++) {
    await o.clock.pass(1000);
    o.server.socket.says({ action: 'pong' });
  }
  assert.deepEqual(o.told, ['track camera', 'failed ice_failed']);
  assert.deepEqual([two.call.state, o.server.socket.last('call.hangup').payload], ['ended', { reason: 'ice_failed' }]);
});
