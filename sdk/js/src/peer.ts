import { CandidateBatch } from './candidates.js';
import { Emitter } from './emitter.js';
import type { Environment, Timer } from './environment.js';
import { asUsherError, UsherError } from './error.js';

/** What a stream shows. */
export type StreamKind = 'camera' | 'screen';

/** A stream of media with what it shows. */
export interface KindOfStream {
  readonly kind: StreamKind;
  readonly stream: MediaStream;
}

export interface PeerEvents {
  /** A track of the other side has come, in a stream that is new or known. */
  track: { readonly track: MediaStreamTrack; readonly stream: MediaStream; readonly kind: StreamKind };
  state: RTCPeerConnectionState;
  /** Media flows, for the first time or again. */
  connected: undefined;
  /** The connection could not be had, or had back, within its time. */
  failed: UsherError;
}

export interface PeerOptions {
  readonly env: Environment;
  readonly iceServers: readonly RTCIceServer[];
  /** Who gives way when both make an offer: the callee. */
  readonly polite: boolean;
  /** Whether this side makes the first offer; the other waits for it. */
  readonly initiator: boolean;
  /** Relays to the other side. */
  readonly send: (action: string, payload: unknown) => void;
  /** Only over TURN, so that nobody is shown one's address. */
  readonly relayOnly?: boolean;
}

/** What of a relayed message matters to a peer. */
export interface PeerMessage {
  readonly action: string;
  readonly payload?: unknown;
}

/** Times in milliseconds. */
const times = { answer: 10_000, disconnected: 3000, restart: 5000, giveUp: 45_000 } as const;

/**
 * A WebRTC connection to one other browser, by perfect negotiation: either side
 * may change what it sends at any time. It restarts ICE when the connection is
 * lost, and says so when that is in vain.
 */
export class Peer extends Emitter<PeerEvents> {
  readonly connection: RTCPeerConnection;
  readonly #options: PeerOptions;
  readonly #candidates: CandidateBatch;
  readonly #kinds = new Map<string, StreamKind>(); // of the other side's streams
  readonly #mine = new Map<string, StreamKind>();
  readonly #endWake: () => void;
  #early: (RTCIceCandidateInit | null)[] = [];
  #makingOffer = false;
  #ignoredOffer = false;
  #mayOffer: boolean;
  #closed = false;
  #work: Promise<void> = Promise.resolve();
  #answerTimer: Timer | undefined;
  #restartTimer: Timer | undefined;
  #giveUpTimer: Timer | undefined;

  constructor(options: PeerOptions) {
    super();
    this.#options = options;
    this.#mayOffer = options.initiator;
    const { RTCPeerConnection } = options.env;
    if (RTCPeerConnection === undefined) throw new UsherError('no_webrtc', 'There is no WebRTC here.', { final: true });
    this.connection = new RTCPeerConnection(this.#configuration(options.iceServers));
    this.#candidates = new CandidateBatch(options.env, (candidates) => options.send('candidates', { candidates }));
    const pc = this.connection;
    pc.onnegotiationneeded = () => void this.#offer();
    pc.onicecandidate = ({ candidate }) => this.#candidates.add(candidate === null ? null : candidate.toJSON());
    pc.onconnectionstatechange = () => this.#changed();
    pc.ontrack = ({ track, streams }) => {
      const stream = streams[0] ?? new MediaStream([track]);
      this.emit('track', { track, stream, kind: this.#kinds.get(stream.id) ?? 'camera' });
    };
    this.#endWake = options.env.onWake(() => this.resync());
    this.#giveUpTimer = options.env.setTimeout(() => this.#giveUp(), times.giveUp);
  }

  /** add sends the tracks of a stream. */
  add({ kind, stream }: KindOfStream): void {
    this.#mine.set(stream.id, kind);
    for (const track of stream.getTracks()) this.addTrack(track, stream);
  }

  /** addTrack sends a track as one of a stream that was added. */
  addTrack(track: MediaStreamTrack, stream: MediaStream): void {
    this.connection.addTrack(track, stream);
  }

  /** remove sends the tracks of a stream no more. */
  remove(stream: MediaStream): void {
    const tracks = new Set(stream.getTracks());
    for (const sender of this.connection.getSenders()) {
      if (sender.track !== null && tracks.has(sender.track)) this.connection.removeTrack(sender);
    }
    this.#mine.delete(stream.id);
  }

  /** replace sends another track in place of one: nothing is negotiated, and the other side sees no gap. */
  async replace(old: MediaStreamTrack, by: MediaStreamTrack): Promise<void> {
    const senders = this.connection.getSenders().filter((sender) => sender.track === old);
    await Promise.all(senders.map((sender) => sender.replaceTrack(by)));
  }

  /** receive handles what the other side relayed; what is no part of the negotiation is left alone. */
  receive(message: PeerMessage): void {
    this.#work = this.#work.then(() => this.#receive(message)).catch((thrown: unknown) => this.#fail(asUsherError(thrown, 'negotiation_failed')));
  }

  /** useIceServers is for new credentials of the relays. */
  useIceServers(servers: readonly RTCIceServer[]): void {
    if (!this.#closed) this.connection.setConfiguration(this.#configuration(servers));
  }

  /** resync is for when messages may have been lost, or the network is another: it says again what was not answered, and restarts what is broken. */
  resync(): void {
    if (this.#closed) return;
    const pc = this.connection;
    if (pc.signalingState === 'have-local-offer') this.#sendDescription();
    else if (pc.connectionState === 'failed' || pc.connectionState === 'disconnected') this.#restart();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const { clearTimeout } = this.#options.env;
    clearTimeout(this.#answerTimer);
    clearTimeout(this.#restartTimer);
    clearTimeout(this.#giveUpTimer);
    this.#candidates.clear();
    this.#endWake();
    this.connection.close();
  }

  #configuration(servers: readonly RTCIceServer[]): RTCConfiguration {
    return { iceServers: [...servers], bundlePolicy: 'max-bundle', iceTransportPolicy: this.#options.relayOnly ? 'relay' : 'all' };
  }

  async #offer(): Promise<void> {
    if (!this.#mayOffer || this.#closed) return;
    try {
      this.#makingOffer = true;
      await this.connection.setLocalDescription();
      this.#sendDescription();
    } catch (thrown) {
      if (!this.#closed) this.#fail(asUsherError(thrown, 'negotiation_failed'));
    } finally {
      this.#makingOffer = false;
    }
  }

  #sendDescription(): void {
    const { env, send } = this.#options;
    const description = this.connection.localDescription;
    if (description === null || this.#closed) return;
    send('sdp', { description: { type: description.type, sdp: description.sdp }, streams: Object.fromEntries(this.#mine) });
    env.clearTimeout(this.#answerTimer);
    if (description.type === 'offer') this.#answerTimer = env.setTimeout(() => this.resync(), times.answer);
  }

  async #receive({ action, payload }: PeerMessage): Promise<void> {
    if (this.#closed) return;
    if (action === 'sdp') await this.#described(payload as Description);
    else if (action === 'candidate') await this.#addCandidates([(payload as { readonly candidate: RTCIceCandidateInit | null }).candidate]);
    else if (action === 'candidates') {
      const list = Array.isArray(payload) ? payload : (payload as { readonly candidates: unknown }).candidates;
      await this.#addCandidates(list as (RTCIceCandidateInit | null)[]);
    }
  }

  async #described({ description, streams }: Description): Promise<void> {
    const pc = this.connection;
    const collides = description.type === 'offer' && (this.#makingOffer || pc.signalingState !== 'stable');
    this.#ignoredOffer = !this.#options.polite && collides;
    if (this.#ignoredOffer) return;
    if (description.type === 'answer' && pc.signalingState !== 'have-local-offer') return; // to an offer that was sent twice
    for (const [id, kind] of Object.entries(streams ?? {})) this.#kinds.set(id, kind);
    await pc.setRemoteDescription(description);
    this.#options.env.clearTimeout(this.#answerTimer);
    if (description.type === 'offer') {
      await pc.setLocalDescription();
      this.#sendDescription();
    }
    this.#mayOffer = true;
    const early = this.#early;
    this.#early = [];
    await this.#addCandidates(early);
  }

  async #addCandidates(candidates: readonly (RTCIceCandidateInit | null)[]): Promise<void> {
    if (this.connection.remoteDescription === null) {
      if (!this.#ignoredOffer) this.#early.push(...candidates);
      return;
    }
    for (const candidate of candidates) {
      try {
        await this.connection.addIceCandidate(candidate ?? undefined);
      } catch {
        // It belongs to an offer that was ignored or is over. A candidate too
        // few shows in the connection's state, if it matters.
      }
    }
  }

  #changed(): void {
    const { env } = this.#options;
    const state = this.connection.connectionState;
    env.clearTimeout(this.#restartTimer);
    this.emit('state', state);
    if (this.#closed) return;
    switch (state) {
      case 'connected':
        env.clearTimeout(this.#giveUpTimer);
        this.#giveUpTimer = undefined;
        return this.emit('connected', undefined);
      case 'disconnected':
        this.#giveUpTimer ??= env.setTimeout(() => this.#giveUp(), times.giveUp);
        this.#restartTimer = env.setTimeout(() => this.#restart(), times.disconnected);
        return;
      case 'failed':
        this.#giveUpTimer ??= env.setTimeout(() => this.#giveUp(), times.giveUp);
        return this.#restart();
    }
  }

  /** restart looks for another way to the other side, again and again until it is there or given up. */
  #restart(): void {
    if (this.#closed || this.connection.connectionState === 'connected') return;
    const { env } = this.#options;
    if (this.connection.signalingState === 'stable') this.connection.restartIce();
    env.clearTimeout(this.#restartTimer);
    this.#restartTimer = env.setTimeout(() => this.#restart(), times.restart);
  }

  #giveUp(): void {
    if (!this.#closed) this.#fail(new UsherError('ice_failed', 'The other side could not be reached.', { final: true }));
  }

  #fail(error: UsherError): void {
    if (!this.#closed) this.emit('failed', error);
  }
}

interface Description {
  readonly description: RTCSessionDescriptionInit;
  readonly streams?: Readonly<Record<string, StreamKind>>;
}
