import { Emitter } from './emitter.js';
import { environment, type Environment } from './environment.js';
import { asUsherError, UsherError } from './error.js';
import type { KindOfStream, Peer } from './peer.js';

export interface MediaEvents {
  /** The camera or microphone is another: show the stream again. */
  changed: MediaStream;
  /** The screen is shared, or no more: also when the browser's own button ended it. */
  screen: MediaStream | undefined;
  muted: { readonly kind: 'audio' | 'video'; readonly muted: boolean };
  /** Cameras, microphones or speakers were plugged in or out: the list to choose from is another. */
  devices: readonly MediaDeviceInfo[];
  /** The device in use is gone: choose another with use(). */
  lost: { readonly kind: 'audio' | 'video' };
}

/** How a screen is shared: in a stream of its own, or in place of the camera, which needs nothing negotiated. */
export type ScreenPlace = 'beside' | 'instead';

/** One's own camera, microphone and screen, as all connections send them. */
export class LocalMedia extends Emitter<MediaEvents> {
  readonly #env: Environment;
  readonly #peers = new Set<Peer>();
  readonly #endDevices: () => void;
  #screen: MediaStream | undefined;
  #instead: MediaStreamTrack | undefined; // the screen's, where the camera's would be

  /** LocalMedia takes a stream that the app has opened itself; see {@link LocalMedia.open}. */
  constructor(
    readonly stream: MediaStream,
    given: Partial<Environment> = {},
  ) {
    super();
    this.#env = environment(given);
    for (const track of stream.getTracks()) this.#watch(track);
    const { mediaDevices } = this.#env;
    const changed = (): void => void this.#listDevices();
    mediaDevices?.addEventListener?.('devicechange', changed);
    this.#endDevices = () => mediaDevices?.removeEventListener?.('devicechange', changed);
  }

  /** open asks the person for camera and microphone. The error's code says what is wrong: media_denied, media_missing, media_busy, no_media. */
  static async open(constraints: MediaStreamConstraints = { audio: true, video: true }, given: Partial<Environment> = {}): Promise<LocalMedia> {
    const env = environment(given);
    return new LocalMedia(await take(() => devices(env).getUserMedia(constraints)), env);
  }

  /** devices lists what there is to choose from. Their labels are told only to a page that has been let at some of them. */
  static async devices(given: Partial<Environment> = {}): Promise<readonly MediaDeviceInfo[]> {
    return devices(environment(given)).enumerateDevices();
  }

  get screen(): MediaStream | undefined {
    return this.#screen;
  }

  /** attach has a connection send everything, now and after each change; what it returns ends that. What one does not send one still gets. */
  attach(peer: Peer): () => void {
    this.#peers.add(peer);
    for (const one of this.#streams()) peer.add(one);
    for (const kind of ['audio', 'video'] as const) if (this.#tracks(kind).length === 0) peer.onlyReceive(kind);
    const [camera] = this.#tracks('video');
    if (this.#instead !== undefined && camera !== undefined) void peer.replace(camera, this.#instead);
    return () => this.#peers.delete(peer);
  }

  /** mute turns camera or microphone off and on again; the other sides see black, or hear nothing. */
  mute(kind: 'audio' | 'video', muted: boolean): void {
    if (this.isMuted(kind) === muted) return;
    for (const track of this.#tracks(kind)) track.enabled = !muted;
    this.emit('muted', { kind, muted });
  }

  /** isMuted is also true where there is nothing of the kind. */
  isMuted(kind: 'audio' | 'video'): boolean {
    return this.#tracks(kind).every((track) => !track.enabled);
  }

  /** deviceOf is the id of the device in use. */
  deviceOf(kind: 'audio' | 'video'): string | undefined {
    return this.#tracks(kind)[0]?.getSettings().deviceId;
  }

  /** use changes to another camera or microphone, which stays muted if the one before was. Where there was none of the kind, it is added. */
  async use(kind: 'audio' | 'video', deviceId: string, more: MediaTrackConstraints = {}): Promise<void> {
    const constraints = { [kind]: { ...more, deviceId: { exact: deviceId } } };
    const [track] = (await take(() => devices(this.#env).getUserMedia(constraints))).getTracks();
    if (track === undefined) throw new UsherError('media_missing', 'The device gives nothing.');
    const [old] = this.#tracks(kind);
    this.#watch(track);
    if (old === undefined) {
      this.stream.addTrack(track);
      for (const peer of this.#peers) peer.addTrack(track, this.stream);
    } else {
      track.enabled = old.enabled;
      // A screen that is shown instead of the camera stays.
      await Promise.all([...this.#peers].map((peer) => peer.replace(old, track)));
      this.stream.removeTrack(old);
      this.stream.addTrack(track);
      old.stop();
    }
    this.emit('changed', this.stream);
  }

  /**
   * shareScreen asks which screen or window, and sends it beside the camera, or
   * in its place. The other sides are told it as a stream of the kind 'screen',
   * but in place of the camera, where they are told nothing.
   */
  async shareScreen(options: DisplayMediaStreamOptions = { video: true }, place: ScreenPlace = 'beside'): Promise<MediaStream> {
    const stream = await take(() => devices(this.#env).getDisplayMedia(options));
    this.stopScreen();
    this.#screen = stream;
    for (const track of stream.getTracks()) {
      track.addEventListener('ended', () => {
        if (this.#screen === stream) this.stopScreen();
      });
    }
    const [shown] = stream.getVideoTracks();
    const [camera] = this.#tracks('video');
    if (place === 'instead' && camera !== undefined && shown !== undefined) {
      this.#instead = shown;
      await Promise.all([...this.#peers].map((peer) => peer.replace(camera, shown)));
    } else {
      for (const peer of this.#peers) peer.add({ kind: 'screen', stream });
    }
    this.emit('screen', stream);
    return stream;
  }

  stopScreen(): void {
    const stream = this.#screen;
    if (stream === undefined) return;
    const instead = this.#instead;
    const [camera] = this.#tracks('video');
    this.#screen = this.#instead = undefined;
    for (const peer of this.#peers) {
      if (instead === undefined) peer.remove(stream);
      else if (camera !== undefined) void peer.replace(instead, camera);
    }
    for (const track of stream.getTracks()) track.stop();
    this.emit('screen', undefined);
  }

  /** stop turns everything off, for good. */
  stop(): void {
    this.stopScreen();
    this.#endDevices();
    for (const track of this.stream.getTracks()) track.stop();
  }

  /** watch tells of a device that is pulled out. What this package stops itself tells nothing. */
  #watch(track: MediaStreamTrack): void {
    track.addEventListener('ended', () => {
      if (this.stream.getTracks().includes(track)) this.emit('lost', { kind: track.kind === 'audio' ? 'audio' : 'video' });
    });
  }

  async #listDevices(): Promise<void> {
    try {
      this.emit('devices', await devices(this.#env).enumerateDevices());
    } catch {
      // A list that can't be read is no news.
    }
  }

  #tracks(kind: 'audio' | 'video'): readonly MediaStreamTrack[] {
    return kind === 'audio' ? this.stream.getAudioTracks() : this.stream.getVideoTracks();
  }

  #streams(): readonly KindOfStream[] {
    const camera = { kind: 'camera', stream: this.stream } as const;
    return this.#screen === undefined || this.#instead !== undefined ? [camera] : [camera, { kind: 'screen', stream: this.#screen }];
  }
}

function devices(env: Environment): MediaDevices {
  if (env.mediaDevices !== undefined) return env.mediaDevices;
  throw new UsherError('no_media', 'There are no cameras and microphones here: a page needs HTTPS, or localhost.', { final: true });
}

/** take says in codes what browsers say in names. */
async function take(ask: () => Promise<MediaStream>): Promise<MediaStream> {
  try {
    return await ask();
  } catch (cause) {
    const name = cause instanceof Error ? cause.name : '';
    switch (name) {
      case 'NotAllowedError':
      case 'SecurityError':
        throw new UsherError('media_denied', 'The camera, microphone or screen may not be used: allow it in the browser.', { cause });
      case 'NotFoundError':
      case 'OverconstrainedError':
        throw new UsherError('media_missing', 'There is no such camera or microphone.', { cause });
      case 'NotReadableError':
      case 'AbortError':
        throw new UsherError('media_busy', 'The camera or microphone is in use by another program.', { cause });
    }
    throw asUsherError(cause, 'media_failed');
  }
}
