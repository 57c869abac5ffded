// The world outside of the package, in the hands of a test: time, sockets,
// WebRTC, cameras and the server's API.
import { environment, type Environment, type Socket, type Timer } from '../dist/environment.js';

/** settled lets everything run that waits for no timer. */
export const settled = async (): Promise<void> => {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** Time that passes when the test says so. */
export class Clock {
  now = 0;
  #next = 1;
  readonly #timers = new Map<number, { readonly at: number; readonly run: () => void }>();

  readonly setTimeout = (run: () => void, milliseconds: number): Timer => {
    this.#timers.set(this.#next, { at: this.now + (milliseconds > 0 ? milliseconds : 1), run });
    return this.#next++ as unknown as Timer;
  };

  readonly clearTimeout = (timer: Timer | undefined): void => {
    this.#timers.delete(timer as unknown as number);
  };

  /** waiting is how many timers are set. */
  get waiting(): number {
    return this.#timers.size;
  }

  /** pass lets time pass, and all timers run that are due. */
  async pass(milliseconds: number): Promise<void> {
    const end = this.now + milliseconds;
    await settled();
    for (;;) {
      const [next] = [...this.#timers].filter(([, { at }]) => at <= end).sort(([i, a], [j, b]) => a.at - b.at || i - j);
      if (next === undefined) break;
      this.#timers.delete(next[0]);
      this.now = next[1].at;
      next[1].run();
      await settled();
    }
    this.now = end;
  }

  /** sleeps lets time pass during which no timer runs, as in a machine that is asleep. */
  sleeps(milliseconds: number): void {
    this.now += milliseconds;
  }
}

/** A world, and how to wake what runs in it. */
export interface World {
  readonly clock: Clock;
  readonly env: Environment;
  readonly wake: () => void;
}

/** world is an environment on a fake clock. */
export function world(given: Partial<Environment> = {}): World {
  const clock = new Clock();
  const wakes = new Set<() => void>();
  const env = environment({
    now: () => clock.now,
    setTimeout: clock.setTimeout,
    clearTimeout: clock.clearTimeout,
    random: () => 0.5,
    onWake: (wake) => {
      wakes.add(wake);
      return () => wakes.delete(wake);
    },
    WebSocket: undefined,
    RTCPeerConnection: undefined,
    ...given,
  });
  return { clock, env, wake: () => [...wakes].forEach((wake) => wake()) };
}

/** What a client sent. */
export interface Sent {
  readonly action: string;
  readonly id?: string;
  readonly to?: string;
  readonly room?: string;
  readonly callId?: string;
  readonly seq?: number;
  readonly payload?: Readonly<Record<string, unknown>>;
}

/** A server's end of sockets. */
export class FakeServer {
  readonly sockets: FakeSocket[] = [];
  readonly WebSocket: new (url: string, protocols: string[]) => Socket;

  constructor() {
    const { sockets } = this;
    this.WebSocket = class extends FakeSocket {
      constructor() {
        super();
        sockets.push(this);
      }
    };
  }

  get socket(): FakeSocket {
    const last = this.sockets.at(-1);
    if (last === undefined) throw new Error('there is no socket');
    return last;
  }
}

export class FakeSocket implements Socket {
  readyState = 1;
  closedWith: number | undefined;
  readonly sent: Sent[] = [];
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;

  send(data: string): void {
    this.sent.push(JSON.parse(data) as Sent);
  }

  close(code?: number): void {
    this.readyState = 3;
    this.closedWith = code;
  }

  /** says sends something to the client: an object, or text as it is. */
  says(message: unknown): void {
    this.onmessage?.({ data: typeof message === 'string' ? message : JSON.stringify(message) } as never);
  }

  /** greet opens the socket and says hello. */
  greet(resumed = false, presence: readonly unknown[] = []): void {
    this.onopen?.({} as never);
    const payload = { userId: 'me', connection: 'c', resume: { token: 'r', window: 30 }, resumed, limits: { message: 1 }, presence };
    this.says({ action: 'hello', payload });
  }

  /** breaks closes the socket from the server's side. */
  breaks(code = 1006, reason = ''): void {
    this.readyState = 3;
    this.onclose?.({ code, reason } as never);
  }

  /** last is the last message of an action. */
  last(action: string): Sent {
    const found = this.sent.filter((message) => message.action === action).at(-1);
    if (found === undefined) throw new Error(`${action} was not sent, but ${this.sent.map((message) => message.action).join(', ')}`);
    return found;
  }

  /** count is how many messages of an action were sent. */
  count(action: string): number {
    return this.sent.filter((message) => message.action === action).length;
  }

  /** acks answers the last message of an action. */
  acks(action: string, payload?: unknown): void {
    this.says({ action: 'ack', ref: this.last(action).id, payload });
  }

  /** refuses answers it with an error. */
  refuses(action: string, code: string, reason?: string): void {
    const call = reason === undefined ? undefined : { state: 'ended', reason };
    this.says({ action: 'error', ref: this.last(action).id, call, payload: { code, message: `${code}.` } });
  }
}

/** A track of a fake device. */
export class FakeTrack extends EventTarget {
  static made = 0;
  enabled = true;
  stopped = false;
  readonly id = `track${++FakeTrack.made}`;

  constructor(
    readonly kind: 'audio' | 'video',
    readonly deviceId = `${kind}-default`,
  ) {
    super();
  }

  stop(): void {
    this.stopped = true;
  }

  getSettings(): { readonly deviceId: string } {
    return { deviceId: this.deviceId };
  }

  /** ends is what happens when a device is pulled out. */
  ends(): void {
    this.dispatchEvent(new Event('ended'));
  }
}

export class FakeStream extends EventTarget {
  static made = 0;
  readonly id = `stream${++FakeStream.made}`;
  readonly tracks: FakeTrack[];

  constructor(...tracks: readonly FakeTrack[]) {
    super();
    this.tracks = [...tracks];
  }

  getTracks = (): FakeTrack[] => [...this.tracks];
  getAudioTracks = (): FakeTrack[] => this.tracks.filter(({ kind }) => kind === 'audio');
  getVideoTracks = (): FakeTrack[] => this.tracks.filter(({ kind }) => kind === 'video');

  addTrack(track: FakeTrack): void {
    this.tracks.push(track);
  }

  removeTrack(track: FakeTrack): void {
    this.tracks.splice(this.tracks.indexOf(track), 1);
  }
}

interface FakeSender {
  track: FakeTrack | null;
  replaceTrack(track: FakeTrack): Promise<void>;
}

/** As much of WebRTC as negotiates: descriptions are numbers in the order that they were made. */
export class FakeConnection {
  static all: FakeConnection[] = [];
  static made = 0;
  signalingState = 'stable';
  connectionState = 'new';
  localDescription: { type: string; sdp: string } | null = null;
  remoteDescription: { type: string; sdp: string } | null = null;
  restarts = 0;
  closed = false;
  stats: readonly (readonly [string, unknown])[] = [];
  configuration: unknown;
  readonly candidates: unknown[] = [];
  readonly senders: FakeSender[] = [];
  readonly transceivers: string[] = [];
  rollbacks = 0;
  firstTakenBack = false;
  onnegotiationneeded: (() => void) | null = null;
  onicecandidate: ((event: { candidate: unknown }) => void) | null = null;
  onconnectionstatechange: (() => void) | null = null;
  ontrack: ((event: { track: FakeTrack; streams: FakeStream[] }) => void) | null = null;
  #needed = false;
  #operations = 0;
  #chain: Promise<void> = Promise.resolve();
  #stable: { local: FakeConnection['localDescription']; remote: FakeConnection['remoteDescription'] } = { local: null, remote: null };

  constructor(configuration: unknown) {
    this.configuration = configuration;
    FakeConnection.all.push(this);
  }

  setConfiguration(configuration: unknown): void {
    this.configuration = configuration;
  }

  addTrack(track: FakeTrack): FakeSender {
    const sender: FakeSender = {
      track,
      replaceTrack: async (by) => {
        sender.track = by;
      },
    };
    this.senders.push(sender);
    this.#need();
    return sender;
  }

  addTransceiver(kind: string): void {
    this.transceivers.push(kind);
    this.#need();
  }

  getSenders = (): FakeSender[] => this.senders;

  removeTrack(sender: FakeSender): void {
    sender.track = null;
    this.#need();
  }

  restartIce(): void {
    this.restarts++;
    this.#need();
  }

  /** operate does one thing after the other, as browsers do. */
  #operate(operation: () => void): Promise<void> {
    this.#operations++;
    const done = this.#chain.then(operation);
    const next = (): void => {
      if (--this.#operations === 0 && this.#needed) this.#need();
    };
    this.#chain = done.then(next, next);
    return done;
  }

  setLocalDescription(): Promise<void> {
    return this.#operate(() => {
      if (this.closed) throw new Error('closed');
      const answers = this.signalingState === 'have-remote-offer';
      this.localDescription = { type: answers ? 'answer' : 'offer', sdp: `${answers ? 'answer' : 'offer'} ${++FakeConnection.made}\na=ice-ufrag:${this.restarts}` };
      this.#become(answers ? 'stable' : 'have-local-offer');
    });
  }

  setRemoteDescription(description: { type: string; sdp: string }): Promise<void> {
    return this.#operate(() => this.#remote(description));
  }

  #remote(description: { type: string; sdp: string }): void {
    if (!/^(offer|answer) \d+/.test(description.sdp)) throw new Error('this is no SDP');
    if (description.type === 'answer' && this.signalingState !== 'have-local-offer') throw new Error(`an answer in the state ${this.signalingState}`);
    if (description.type === 'offer' && this.signalingState === 'have-local-offer') {
      this.rollbacks++;
      this.firstTakenBack ||= this.#stable.local === null;
      this.localDescription = this.#stable.local;
      this.#needed = true;
    }
    this.remoteDescription = description;
    this.#become(description.type === 'offer' ? 'have-remote-offer' : 'stable');
  }

  async addIceCandidate(candidate: unknown): Promise<void> {
    await Promise.resolve();
    if (this.remoteDescription === null) throw new Error('a candidate before the description');
    this.candidates.push(candidate);
  }

  getStats = async (): Promise<ReadonlyMap<string, unknown>> => new Map(this.stats);

  close(): void {
    this.closed = true;
    this.signalingState = this.connectionState = 'closed';
  }

  /** becomes is what the network does. */
  becomes(state: string): void {
    this.connectionState = state;
    this.onconnectionstatechange?.();
  }

  #become(state: string): void {
    this.signalingState = state;
    if (state !== 'stable') return;
    this.#stable = { local: this.localDescription, remote: this.remoteDescription };
  }

  #need(): void {
    this.#needed = true;
    queueMicrotask(() => {
      if (!this.#needed || this.closed || this.#operations > 0 || this.signalingState !== 'stable') return;
      this.#needed = false;
      this.onnegotiationneeded?.();
    });
  }
}

export const asStream = (stream: FakeStream): MediaStream => stream as unknown as MediaStream;
export const asTrack = (track: FakeTrack): MediaStreamTrack => track as unknown as MediaStreamTrack;
export const FakeWebRTC = FakeConnection as unknown as typeof RTCPeerConnection;
