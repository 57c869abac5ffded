import { CandidateBatch } from './candidates.js';
import { Emitter } from './emitter.js';
import type { Environment, Timer } from './environment.js';
import { asUsherError, UsherError } from './error.js';
import { Meter, usesRelay, type Quality } from './quality.js';

/** What a stream shows. */
export type StreamKind = 'camera' | 'screen';

/** A stream of media with what it shows. */
export interface KindOfStream {
  readonly kind: StreamKind;
  readonly stream: MediaStream;
}

/** A track of the other side, in its stream. */
export interface RemoteTrack extends KindOfStream {
  readonly track: MediaStreamTrack;
}

export interface PeerEvents {
  /** A track of the other side has come, in a stream that is new or known. */
  track: RemoteTrack;
  /** The other side sends a track no more, such as its screen's. */
  trackgone: RemoteTrack;
  state: RTCPeerConnectionState;
  /** Media flows, for the first time or again. */
  connected: undefined;
  /** The connection is lost, or not there in time, and another way is looked for. */
  restarting: undefined;
  /** How good the connection is, every few seconds while there is one. */
  quality: Quality;
  /** The connection could not be had, or had back, within its time. It is said once. */
  failed: UsherError;
}

export interface PeerOptions {
  readonly env: Environment;
  readonly iceServers: readonly RTCIceServer[];
  /** Who gives way when both make an offer: the side that is not the initiator. */
  readonly polite: boolean;
  /**
   * Whether this side makes the first offer; the other waits for it. It must be
   * one of the two alone: a browser that takes back its very first offer may
   * never look for candidates again.
   */
  readonly initiator: boolean;
  /** Relays to the other side. What it is given may be sent twice. */
  readonly send: (action: string, payload: object) => void;
  /** Only over TURN, so that nobody is shown one's address. */
  readonly relayOnly?: boolean;
}

/** What of a relayed message matters to a peer. */
export interface PeerMessage {
  readonly action: string;
  readonly payload?: unknown;
}

/** Times in milliseconds. The polite side waits longer, so that the two do not restart at once. */
const times = { answer: 10_000, connect: 10_000, disconnected: 3000, restart: 5000, polite: 4000, giveUp: 45_000, measure: 3000 } as const;

/** How many candidates may wait for the description that they belong to. */
const mostEarly = 256;

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
  readonly #meter = new Meter();
  readonly #endWake: () => void;
  #tracks: readonly RemoteTrack[] = [];
  #early: (RTCIceCandidateInit | null)[] = [];
  #offers = 0; // one's own
  #answered: { readonly offer: number | undefined; readonly payload: object } | undefined;
  #makingOffer = false;
  #ignoredOffer = false;
  #mayOffer: boolean;
  #closed = false;
  #failed = false;
  #work: Promise<void> = Promise.resolve();
  #answerTimer: Timer | undefined;
  #restartTimer: Timer | undefined;
  #giveUpTimer: Timer | undefined;
  #measureTimer: Timer | undefined;
  #relayTimer: Timer | undefined;

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
    pc.ontrack = ({ track, streams }) => this.#came(track, streams[0]);
    this.#endWake = options.env.onWake(() => this.resync());
    this.#giveUpTimer = options.env.setTimeout(() => this.#giveUp(), times.giveUp);
  }

  /** tracks is what the other side sends. */
  get tracks(): readonly RemoteTrack[] {
    return this.#tracks;
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

  /** onlyReceive takes what the other side sends of a kind, and sends nothing of it. */
  onlyReceive(kind: 'audio' | 'video'): void {
    if (this.#mayOffer) this.connection.addTransceiver(kind, { direction: 'recvonly' }); // else the other side's offer has it
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

  /** measure is how good the connection is since it was measured last. */
  async measure(): Promise<Quality> {
    return this.#meter.read(await this.connection.getStats());
  }

  /** receive handles what the other side relayed; what is no part of the negotiation is left alone. */
  receive(message: PeerMessage): void {
    this.#work = this.#work.then(() => this.#receive(message)).catch((thrown: unknown) => this.#fail(asUsherError(thrown, 'negotiation_failed')));
  }

  /**
   * useIceServers is for new credentials of the relays. A relay ends with the
   * credential that it was made with: where one is in use, another way is made
   * while it lasts, and what is sent moves to that without a gap.
   */
  useIceServers(servers: readonly RTCIceServer[]): void {
    if (this.#closed) return;
    this.connection.setConfiguration(this.#configuration(servers));
    const { env, polite } = this.#options;
    env.clearTimeout(this.#relayTimer);
    // The other side's restart, made meanwhile, is as good as one's own.
    this.#relayTimer = env.setTimeout(() => void this.#moveRelay(), polite ? times.polite : 0);
  }

  /** resync is for when messages may have been lost, or the network is another: it says again what was not answered, and restarts what is broken. */
  resync(): void {
    if (this.#closed) return;
    const pc = this.connection;
    if (pc.signalingState === 'have-local-offer') this.#sendOffer();
    else if (pc.connectionState === 'failed' || pc.connectionState === 'disconnected') this.#restart();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopTimers();
    this.#candidates.clear();
    this.#endWake();
    this.connection.close();
  }

  #stopTimers(): void {
    const { clearTimeout } = this.#options.env;
    for (const timer of [this.#answerTimer, this.#restartTimer, this.#giveUpTimer, this.#measureTimer, this.#relayTimer]) clearTimeout(timer);
  }

  #configuration(servers: readonly RTCIceServer[]): RTCConfiguration {
    return { iceServers: [...servers], bundlePolicy: 'max-bundle', iceTransportPolicy: this.#options.relayOnly ? 'relay' : 'all' };
  }

  #came(track: MediaStreamTrack, given: MediaStream | undefined): void {
    const stream = given ?? new MediaStream([track]);
    const remote: RemoteTrack = { track, stream, kind: this.#kinds.get(stream.id) ?? 'camera' };
    this.#tracks = [...this.#tracks.filter((known) => known.track !== track), remote];
    stream.addEventListener('removetrack', ({ track: gone }) => {
      if (gone === track) this.#went(remote);
    });
    this.emit('track', remote);
  }

  #went(remote: RemoteTrack): void {
    if (!this.#tracks.includes(remote)) return;
    this.#tracks = this.#tracks.filter((known) => known !== remote);
    this.emit('trackgone', remote);
  }

  async #offer(): Promise<void> {
    if (!this.#mayOffer || this.#closed) return;
    try {
      this.#makingOffer = true;
      await this.connection.setLocalDescription();
      this.#offers++;
      this.#sendOffer();
    } catch (thrown) {
      this.#fail(asUsherError(thrown, 'negotiation_failed'));
    } finally {
      this.#makingOffer = false;
    }
  }

  /** sendOffer sends the offer, or sends it again: then by the same number, so that it is not taken for another. */
  #sendOffer(): void {
    const { env, send } = this.#options;
    if (this.#closed || this.connection.signalingState !== 'have-local-offer') return; // another offer went before
    send('sdp', this.#described(this.#offers));
    env.clearTimeout(this.#answerTimer);
    this.#answerTimer = env.setTimeout(() => this.resync(), times.answer);
  }

  #described(offer: number | undefined): object {
    const { type, sdp } = this.connection.localDescription ?? {};
    return { description: { type, sdp }, streams: Object.fromEntries(this.#mine), offer };
  }

  async #receive({ action, payload }: PeerMessage): Promise<void> {
    if (this.#closed) return;
    if (action === 'sdp') {
      const described = asDescription(payload);
      if (described !== undefined) await this.#negotiate(described);
    } else if (action === 'candidate' || action === 'candidates') await this.#addCandidates(asCandidates(payload));
  }

  async #negotiate({ description, streams, offer }: Description): Promise<void> {
    const pc = this.connection;
    const { env, polite, send } = this.#options;
    const offers = description.type === 'offer';
    if (offers && offer !== undefined && offer === this.#answered?.offer) return send('sdp', this.#answered.payload); // it was sent twice
    const collides = offers && (this.#makingOffer || pc.signalingState !== 'stable');
    this.#ignoredOffer = !polite && collides;
    if (this.#ignoredOffer) return;
    if (!offers && (pc.signalingState !== 'have-local-offer' || (offer !== undefined && offer !== this.#offers))) return; // to an offer that is over
    for (const [id, kind] of Object.entries(streams)) this.#kinds.set(id, kind);
    const restarted = offers && ufrag(description) !== ufrag(pc.remoteDescription);
    await pc.setRemoteDescription(description);
    env.clearTimeout(this.#answerTimer);
    if (restarted) env.clearTimeout(this.#relayTimer);
    if (offers) {
      await pc.setLocalDescription();
      this.#answered = { offer, payload: this.#described(offer) };
      send('sdp', this.#answered.payload);
    }
    this.#mayOffer = true;
    if (pc.connectionState !== 'connected') this.#restartIn(times.connect);
    const early = this.#early;
    this.#early = [];
    await this.#addCandidates(early);
  }

  async #addCandidates(candidates: readonly (RTCIceCandidateInit | null)[]): Promise<void> {
    if (this.connection.remoteDescription === null) {
      if (!this.#ignoredOffer) this.#early = [...this.#early, ...candidates].slice(-mostEarly);
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
    this.emit('state', state);
    if (this.#closed || this.#failed) return;
    switch (state) {
      case 'connected':
        env.clearTimeout(this.#restartTimer);
        env.clearTimeout(this.#giveUpTimer);
        this.#giveUpTimer = undefined;
        this.#measureLater();
        return this.emit('connected', undefined);
      case 'disconnected':
        this.#giveUpTimer ??= env.setTimeout(() => this.#giveUp(), times.giveUp);
        return this.#restartIn(times.disconnected);
      case 'failed':
        this.#giveUpTimer ??= env.setTimeout(() => this.#giveUp(), times.giveUp);
        return this.#options.polite ? this.#restartIn(0) : this.#restart();
    }
  }

  #restartIn(wait: number): void {
    const { env, polite } = this.#options;
    env.clearTimeout(this.#restartTimer);
    this.#restartTimer = env.setTimeout(() => this.#restart(), wait + (polite ? times.polite : 0));
  }

  /** restart looks for another way to the other side, again and again until it is there or given up. */
  #restart(): void {
    if (this.#closed || this.#failed || this.connection.connectionState === 'connected') return;
    if (this.connection.signalingState === 'stable' && this.#mayOffer) {
      this.emit('restarting', undefined);
      this.connection.restartIce();
    }
    this.#restartIn(times.restart);
  }

  async #moveRelay(): Promise<void> {
    try {
      const relayed = this.#options.relayOnly === true || usesRelay(await this.connection.getStats());
      if (relayed && !this.#closed && this.connection.connectionState === 'connected') this.connection.restartIce();
    } catch {
      // What can't be looked at is seen to when it breaks.
    }
  }

  #measureLater(): void {
    const { env } = this.#options;
    env.clearTimeout(this.#measureTimer);
    this.#measureTimer = env.setTimeout(() => void this.#measured(), times.measure);
  }

  async #measured(): Promise<void> {
    try {
      const quality = await this.measure();
      if (this.#closed) return;
      if (this.connection.connectionState === 'connected') this.emit('quality', quality);
    } catch {
      // There are no figures at this moment.
    }
    if (!this.#closed) this.#measureLater();
  }

  #giveUp(): void {
    this.#fail(new UsherError('ice_failed', 'No connection to the other side: a firewall or a lost network is in the way.', { final: true }));
  }

  #fail(error: UsherError): void {
    if (this.#closed || this.#failed) return;
    this.#failed = true;
    this.#stopTimers();
    this.emit('failed', error);
  }
}

interface Description {
  readonly description: RTCSessionDescriptionInit;
  readonly streams: Readonly<Record<string, StreamKind>>;
  /** Which offer of its side it is, or answers; clients of others do not say. */
  readonly offer: number | undefined;
}

/** ufrag is the name of a side's ICE session, which a restart changes. */
function ufrag(description: RTCSessionDescriptionInit | null): string | undefined {
  return description?.sdp?.match(/^a=ice-ufrag:(.*)$/m)?.[1];
}

const asObject = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};

/** asDescription is what another client described, if it is an offer or answer: it may have sent anything. */
export function asDescription(payload: unknown): Description | undefined {
  const { type, sdp } = asObject(asObject(payload)['description']);
  if ((type !== 'offer' && type !== 'answer') || typeof sdp !== 'string') return undefined;
  const streams = Object.entries(asObject(asObject(payload)['streams'])).filter(([, kind]) => kind === 'camera' || kind === 'screen');
  const { offer } = asObject(payload);
  return {
    description: { type, sdp },
    streams: Object.fromEntries(streams) as Record<string, StreamKind>,
    offer: typeof offer === 'number' ? offer : undefined,
  };
}

/** asCandidates are the candidates of a payload: one, a list, or a list alone. */
function asCandidates(payload: unknown): readonly (RTCIceCandidateInit | null)[] {
  const { candidate, candidates } = asObject(payload);
  const list: readonly unknown[] = Array.isArray(payload) ? payload : Array.isArray(candidates) ? candidates : candidate === undefined ? [] : [candidate];
  return list.filter((one) => typeof one === 'object') as (RTCIceCandidateInit | null)[];
}
