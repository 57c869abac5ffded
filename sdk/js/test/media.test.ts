import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LocalMedia } from '../dist/media.js';
import { Peer } from '../dist/peer.js';
import { FakeConnection, FakeStream, FakeTrack, FakeWebRTC, settled, world } from './fakes.js';

/** Cameras, microphones and a screen. */
class FakeDevices extends EventTarget {
  asked: unknown[] = [];
  refusal: string | undefined;
  list = [{ kind: 'videoinput', deviceId: 'cam1' }];

  async getUserMedia(constraints: Record<string, { readonly deviceId?: { readonly exact: string } } | boolean>): Promise<FakeStream> {
    this.asked.push(constraints);
    if (this.refusal !== undefined) throw Object.assign(new Error(this.refusal), { name: this.refusal });
    const device = (kind: string): string => {
      const wanted = constraints[kind];
      return typeof wanted === 'object' ? (wanted.deviceId?.exact ?? kind) : kind;
    };
    return new FakeStream(...(['audio', 'video'] as const).filter((kind) => constraints[kind]).map((kind) => new FakeTrack(kind, device(kind))));
  }

  async getDisplayMedia(): Promise<FakeStream> {
    if (this.refusal !== undefined) throw Object.assign(new Error(this.refusal), { name: this.refusal });
    return new FakeStream(new FakeTrack('video', 'screen'));
  }

  enumerateDevices = async (): Promise<readonly unknown[]> => this.list;
}

const open = async (constraints: MediaStreamConstraints = { audio: true, video: true }) => {
  const devices = new FakeDevices();
  const { env } = world({ mediaDevices: devices as unknown as MediaDevices, RTCPeerConnection: FakeWebRTC });
  const local = await LocalMedia.open(constraints, env);
  const told: unknown[] = [];
  local.on('changed', () => told.push('changed'));
  local.on('screen', (screen) => told.push(screen === undefined ? 'no screen' : 'screen'));
  local.on('muted', ({ kind, muted }) => told.push(`${kind} ${muted ? 'off' : 'on'}`));
  local.on('devices', (list) => told.push(list.length));
  local.on('lost', ({ kind }) => told.push(`lost ${kind}`));
  const peer = new Peer({ env, iceServers: [], polite: false, initiator: true, send: () => {} });
  const sent = (): readonly (string | undefined)[] =>
    (peer.connection as unknown as FakeConnection).senders.filter(({ track }) => track !== null).map(({ track }) => track?.deviceId);
  const tracks = (): readonly FakeTrack[] => (local.stream as unknown as FakeStream).getTracks();
  return { devices, env, local, told, peer, sent, tracks };
};

test('each refusal of a browser has a code, and a sentence for people', async () => {
  const codes = { NotAllowedError: 'media_denied', SecurityError: 'media_denied', NotFoundError: 'media_missing', OverconstrainedError: 'media_missing', NotReadableError: 'media_busy', AbortError: 'media_busy' };
  for (const [name, code] of Object.entries(codes)) {
    const o = await open();
    o.devices.refusal = name;
    await assert.rejects(LocalMedia.open({}, o.env), { code }, name);
    await assert.rejects(o.local.shareScreen(), { code }, name);
    await assert.rejects(o.local.use('video', 'x'), { code }, name);
    assert.deepEqual(o.told, []);
  }
  const o = await open();
  o.devices.refusal = 'TypeError';
  await assert.rejects(LocalMedia.open({}, o.env), { code: 'media_failed' });
  await assert.rejects(LocalMedia.open({}, { mediaDevices: undefined }), { code: 'no_media', final: true });
});

test('what is muted is not sent, and stays muted with another device', async () => {
  const o = await open();
  o.local.attach(o.peer);
  o.local.mute('audio', true);
  o.local.mute('audio', true);
  assert.ok(o.local.isMuted('audio') && !o.local.isMuted('video'));
  const [old] = o.tracks();
  await o.local.use('audio', 'mic2');
  assert.ok(o.local.isMuted('audio') && old?.stopped);
  assert.deepEqual([o.sent(), o.local.deviceOf('audio'), o.local.deviceOf('video')], [['mic2', 'video'], 'mic2', 'video']);
  o.local.mute('audio', false);
  assert.deepEqual(o.told, ['audio off', 'changed', 'audio on']);
});

test('a camera is added where there was none', async () => {
  const o = await open({ audio: true });
  o.local.attach(o.peer);
  assert.ok(o.local.isMuted('video'));
  await o.local.use('video', 'cam1', { width: 320 });
  assert.deepEqual(o.sent(), ['audio', 'cam1']);
  assert.deepEqual(o.devices.asked.at(-1), { video: { width: 320, deviceId: { exact: 'cam1' } } });
});

test('what one does not send one still asks for, where one makes the offer', async () => {
  const o = await open({ audio: true });
  const asks = (initiator: boolean): unknown => {
    const peer = new Peer({ env: o.env, iceServers: [], polite: !initiator, initiator, send: () => {} });
    o.local.attach(peer);
    return (peer.connection as unknown as FakeConnection).transceivers;
  };
  assert.deepEqual([asks(true), asks(false)], [['video'], []]);
});

test('a screen is sent beside the camera until it is stopped, here or by the browser', async () => {
  const o = await open();
  o.local.attach(o.peer);
  const screen = (await o.local.shareScreen()) as unknown as FakeStream;
  assert.deepEqual(o.sent(), ['audio', 'video', 'screen']);
  const later = new Peer({ env: o.env, iceServers: [], polite: false, initiator: true, send: () => {} });
  o.local.attach(later);
  assert.equal((later.connection as unknown as FakeConnection).senders.length, 3);
  screen.tracks[0]?.ends();
  assert.deepEqual(o.sent(), ['audio', 'video']);
  assert.ok(screen.tracks[0]?.stopped);
  await o.local.shareScreen();
  await o.local.shareScreen(); // another one
  assert.deepEqual(o.sent(), ['audio', 'video', 'screen']);
  o.local.stopScreen();
  o.local.stopScreen();
  assert.deepEqual(o.told, ['screen', 'no screen', 'screen', 'no screen', 'screen', 'no screen']);
});

test('a screen in place of the camera is negotiated with nobody, and the camera comes back', async () => {
  const o = await open();
  o.local.attach(o.peer);
  await settled();
  const pc = o.peer.connection as unknown as FakeConnection;
  const offers = FakeConnection.made;
  await o.local.shareScreen({ video: true }, 'instead');
  assert.deepEqual(o.sent(), ['audio', 'screen']);
  const later = new Peer({ env: o.env, iceServers: [], polite: false, initiator: false, send: () => {} });
  o.local.attach(later);
  await settled();
  assert.deepEqual((later.connection as unknown as FakeConnection).senders.map(({ track }) => track?.deviceId), ['audio', 'screen']);
  await o.local.use('video', 'cam2');
  assert.deepEqual(o.sent(), ['audio', 'screen'], 'the screen stays');
  o.local.stopScreen();
  await settled();
  assert.deepEqual(o.sent(), ['audio', 'cam2']);
  assert.equal(FakeConnection.made, offers);
  assert.equal(pc.senders.length, 2);
});

test('devices that come and go are told, and one that is pulled out', async () => {
  const o = await open();
  o.devices.list.push({ kind: 'audioinput', deviceId: 'mic' });
  o.devices.dispatchEvent(new Event('devicechange'));
  await settled();
  o.tracks()[0]?.ends();
  const [, camera] = o.tracks();
  await o.local.use('video', 'cam2');
  camera?.ends(); // it is not used any more
  o.local.stop();
  o.devices.dispatchEvent(new Event('devicechange'));
  await settled();
  assert.deepEqual(o.told, [2, 'lost audio', 'changed']);
  assert.ok(o.tracks().every(({ stopped }) => stopped));
});

test('a connection that was detached is left alone', async () => {
  const o = await open();
  const detach = o.local.attach(o.peer);
  detach();
  await o.local.shareScreen();
  assert.deepEqual(o.sent(), ['audio', 'video']);
});
