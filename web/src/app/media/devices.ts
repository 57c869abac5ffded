import { LocalMedia, UsherError } from '@usher/client';
import { browser } from '../kept.ts';
import { Store } from '../store.ts';

export type Kind = 'audio' | 'video';

const kinds = ['audio', 'video'] as const;

/** Which devices were chosen, by id. */
interface Chosen {
  readonly audio?: string | undefined;
  readonly video?: string | undefined;
  readonly speaker?: string | undefined;
}

export interface DevicesState {
  readonly opening: boolean;
  /** What is sent, if anything was opened. */
  readonly local?: LocalMedia | undefined;
  readonly stream?: MediaStream | undefined;
  readonly screen?: MediaStream | undefined;
  /** Whether there is such a device, and whether it is on. */
  readonly has: Readonly<Record<Kind, boolean>>;
  readonly on: Readonly<Record<Kind, boolean>>;
  /** The code of what is wrong: one of strings.media.problems. */
  readonly problem?: string | undefined;
  readonly list: readonly MediaDeviceInfo[];
  readonly chosen: Chosen;
}

const nothing = { opening: false, local: undefined, stream: undefined, screen: undefined, has: { audio: false, video: false } } as const;

/** One's camera, microphone and screen: what is sent in calls and rooms. */
export class Devices extends Store<DevicesState> {
  #opened: Promise<LocalMedia> | undefined;
  #turn = 0;
  readonly #users = new Set<Where>();
  #picture: MediaTrackConstraints = {};

  constructor() {
    super({ ...nothing, on: { audio: true, video: true }, list: [], chosen: browser.read<Chosen>('devices') ?? {} });
    navigator.mediaDevices?.addEventListener('devicechange', () => void this.#enumerate());
  }

  /** open turns on what there is, until it is closed for all that it was opened for. It never fails: what is missing is said in problem. */
  open(where: Where): Promise<LocalMedia> {
    this.#users.add(where);
    this.#opened ??= this.#open(where);
    return this.#opened;
  }

  async #open(where: Where): Promise<LocalMedia> {
    this.#picture = pictures[where];
    this.set({ opening: true, problem: undefined });
    const turn = ++this.#turn;
    const { stream, problem } = await this.#take();
    const local = new LocalMedia(stream);
    if (turn !== this.#turn) return local; // it was closed meanwhile, and whoever did stops it
    for (const kind of kinds) if (!this.state.on[kind]) local.mute(kind, true);
    local.on('changed', () => this.#changed());
    local.on('screen', (screen) => this.set({ screen }));
    local.on('lost', ({ kind }) => this.set({ problem: kind === 'video' ? 'no_camera' : 'no_microphone' }));
    this.set({ opening: false, local, problem });
    this.#changed();
    await this.#enumerate();
    return local;
  }

  /** take asks for both, and for one where both can't be had. */
  async #take(): Promise<{ readonly stream: MediaStream; readonly problem?: string }> {
    const { audio, video } = constraints(this.state.chosen, this.#picture);
    const ask = async (what: MediaStreamConstraints): Promise<MediaStream> => (await LocalMedia.open(what)).stream;
    try {
      return { stream: await ask({ audio, video }) };
    } catch (thrown) {
      const problem = thrown instanceof UsherError ? thrown.code : 'media_missing';
      if (problem === 'no_media') return { stream: new MediaStream(), problem };
      try {
        return { stream: await ask({ audio }), problem: 'no_camera' };
      } catch {
        try {
          return { stream: await ask({ video }), problem: 'no_microphone' };
        } catch {
          return { stream: new MediaStream(), problem };
        }
      }
    }
  }

  /** again asks for what could not be had before, while a call goes on. */
  async again(): Promise<void> {
    const local = await this.#opened;
    if (local === undefined) return;
    this.set({ opening: true });
    const { stream, problem } = await this.#take();
    const found = stream.getTracks().map((track) => ({ kind: track.kind as Kind, id: track.getSettings().deviceId ?? '' }));
    for (const track of stream.getTracks()) track.stop();
    for (const { kind, id } of found) if (!this.state.has[kind]) await local.use(kind, id).catch(() => {});
    this.set({ opening: false, problem });
    this.#changed();
    await this.#enumerate();
  }

  /** turn mutes or unmutes; what is chosen before anything is open counts, too. */
  turn(kind: Kind, on: boolean): void {
    this.state.local?.mute(kind, !on);
    this.set({ on: { ...this.state.on, [kind]: on } });
  }

  /** choose changes to another device, also in the middle of a call. */
  async choose(kind: Kind | 'speaker', id: string): Promise<void> {
    const chosen = { ...this.state.chosen, [kind]: id };
    this.set({ chosen });
    browser.write('devices', chosen);
    if (kind === 'speaker' || this.state.local === undefined) return;
    try {
      await this.state.local.use(kind, id, kind === 'video' ? this.#picture : {});
      this.set({ problem: undefined });
    } catch (thrown) {
      this.set({ problem: thrown instanceof UsherError ? thrown.code : 'media_missing' });
    }
    this.#changed();
  }

  async share(): Promise<void> {
    const local = await this.#opened;
    if (local === undefined) return;
    try {
      await local.shareScreen({ video: true, audio: true });
      this.set({ problem: undefined });
    } catch {
      this.set({ problem: 'screen_denied' });
    }
  }

  stopShare(): void {
    this.state.local?.stopScreen();
  }

  /** hush puts away what is said of a problem. */
  hush(): void {
    this.set({ problem: undefined });
  }

  /** close turns everything off, lights too, where nothing else needs it. */
  close(where: Where): void {
    this.#users.delete(where);
    if (this.#users.size > 0) return;
    const opened = this.#opened;
    this.#opened = undefined;
    this.#turn++;
    void opened?.then((local) => local.stop());
    this.set({ ...nothing, problem: undefined });
  }

  #changed(): void {
    const stream = this.state.local?.stream;
    if (stream === undefined) return;
    const has = { audio: stream.getAudioTracks().length > 0, video: stream.getVideoTracks().length > 0 };
    // Another stream, so that what shows it sees that its tracks are others.
    this.set({ stream: new MediaStream(stream.getTracks()), has });
  }

  async #enumerate(): Promise<void> {
    const list = await LocalMedia.devices().catch(() => []);
    this.set({ list: list.filter(({ deviceId }) => deviceId !== '') });
  }
}

/** What the camera is open for; a look is that in the dialog of devices. */
type Where = 'call' | 'room' | 'look';

/** In a room each sends to each, so that pictures are smaller. */
const pictures = {
  call: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } },
  look: { width: { ideal: 640 }, height: { ideal: 360 } },
  room: { width: { ideal: 640 }, height: { ideal: 360 }, frameRate: { ideal: 20, max: 30 } },
} as const satisfies Record<Where, MediaTrackConstraints>;

function constraints(chosen: Chosen, picture: MediaTrackConstraints): { readonly audio: MediaTrackConstraints; readonly video: MediaTrackConstraints } {
  const device = (id: string | undefined): MediaTrackConstraints => (id === undefined ? {} : { deviceId: { ideal: id } });
  return {
    audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, ...device(chosen.audio) },
    video: { ...picture, ...device(chosen.video) },
  };
}
