import { Backoff } from './backoff.js';
import type { MediaOptions } from './callmedia.js';
import { Emitter } from './emitter.js';
import type { Timer } from './environment.js';
import { UsherError } from './error.js';
import { Line, opens } from './line.js';
import type { LocalMedia } from './media.js';
import type { Present, Relayed } from './messages.js';
import type { Peer, PeerEvents, RemoteTrack } from './peer.js';
import type { RoomLink } from './rooms.js';
import type { Wiring } from './wiring.js';

/** In each, participant is the id in the room's roster. */
export interface MeshEvents {
  track: RemoteTrack & { readonly participant: string };
  trackgone: RemoteTrack & { readonly participant: string };
  state: { readonly participant: string; readonly state: RTCPeerConnectionState };
  connected: { readonly participant: string };
  /** The connection to a participant is lost, and another way is looked for. */
  restarting: { readonly participant: string };
  quality: { readonly participant: string; readonly quality: PeerEvents['quality'] };
  /** The connection to a participant is another one, since it has loaded its page again or the last one failed: its tracks are gone, and come again. */
  renewed: { readonly participant: string };
  /** There is no connection to a participant any more: it has left, or wants none. */
  gone: { readonly participant: string };
  /** There is no connection to a participant: ice_failed, which is tried again later, or mesh_full. */
  failed: { readonly participant: string; readonly error: UsherError };
}

/** The connection to one participant. */
interface Link {
  readonly line: Line;
  /** That the participant was in a roster: one who has only just come may be in none yet. */
  listed: boolean;
  readonly backoff: Backoff;
  retry: Timer | undefined;
}

/** With how many others a browser can exchange video directly. */
const mostPeers = 5;

/**
 * Media among all who are in a small room, each directly with each. Of each two
 * the one whose id is the lesser makes the first offer, and the other answers.
 */
export class Mesh extends Emitter<MeshEvents> {
  readonly #links = new Map<string, Link>();
  readonly #full = new Set<string>(); // whom it was said of
  readonly #wiring: Wiring;
  readonly #local: LocalMedia | undefined;
  readonly #options: MediaOptions;
  readonly #ends: (() => void)[];
  #closed = false;

  /** @internal */
  constructor(
    readonly room: RoomLink,
    wiring: Wiring,
    local: LocalMedia | undefined,
    options: MediaOptions,
  ) {
    super();
    this.#wiring = wiring;
    this.#local = local;
    this.#options = options;
    const resync = (): void => {
      for (const { line } of this.#links.values()) line.peer.resync();
    };
    this.#ends = [
      room.on('roster', (roster) => this.#meet(roster)),
      room.on('left', () => this.#end()),
      room.on('rejoined', resync),
      wiring.signal.on('hello', ({ resumed }) => {
        if (resumed) resync(); // else the room is to be joined again first
      }),
    ];
    // Whoever is given the mesh adds listeners now, and must miss nothing.
    queueMicrotask(() => {
      if (this.#closed) return;
      this.#meet(room.roster);
      this.#ends.push(room.inbox.open((message) => this.#receive(message)));
    });
  }

  /** participants are those that there is a connection to, or that one is being made to. */
  get participants(): readonly string[] {
    return [...this.#links.keys()];
  }

  /** peer is the connection to one participant. It is another one after 'renewed'. */
  peer(participant: string): Peer | undefined {
    return this.#links.get(participant)?.line.peer;
  }

  /** tracks is what a participant sends. */
  tracks(participant: string): readonly RemoteTrack[] {
    return this.peer(participant)?.tracks ?? [];
  }

  /** close ends all connections, and stays in the room. */
  close(): void {
    if (this.#closed) return;
    if (!this.room.isOut) for (const { line } of this.#links.values()) line.bye();
    this.#end();
  }

  #end(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const end of this.#ends) end();
    for (const participant of [...this.#links.keys()]) this.#part(participant);
  }

  #meet(roster: readonly Present[]): void {
    const others = new Set(roster.map(({ id }) => id).filter((id) => id !== this.room.participant));
    for (const [participant, link] of [...this.#links]) {
      // A roster can be older than what somebody new has sent already.
      if (others.has(participant)) link.listed = true;
      else if (link.listed) this.#part(participant);
    }
    for (const participant of [...this.#full]) if (!others.has(participant)) this.#full.delete(participant);
    for (const participant of others) if (!this.#links.has(participant)) this.#connect(participant);
  }

  #connect(participant: string): Link | undefined {
    if (this.#links.size >= mostPeers) {
      if (this.#full.has(participant)) return undefined;
      this.#full.add(participant);
      const error = new UsherError('mesh_full', `A room of more than ${mostPeers + 1} needs a media server.`);
      this.emit('failed', { participant, error });
      return undefined;
    }
    const initiator = this.room.participant < participant;
    const line = new Line({
      wiring: this.#wiring,
      local: this.#local,
      initiator,
      relayOnly: this.#options.relayOnly ?? false,
      send: (action, payload) => this.room.send(participant, action, payload, { repeatable: true }),
    });
    const { env } = this.#wiring;
    const listed = this.room.roster.some(({ id }) => id === participant);
    const link: Link = { line, listed, backoff: new Backoff({ first: 2000, longest: 60_000 }, env.random), retry: undefined };
    this.#links.set(participant, link);
    line.on('track', (track) => this.emit('track', { ...track, participant }));
    line.on('trackgone', (track) => this.emit('trackgone', { ...track, participant }));
    line.on('state', (state) => this.emit('state', { participant, state }));
    line.on('connected', () => {
      link.backoff.reset();
      this.emit('connected', { participant });
    });
    line.on('restarting', () => this.emit('restarting', { participant }));
    line.on('quality', (quality) => this.emit('quality', { participant, quality }));
    line.on('renewed', () => {
      env.clearTimeout(link.retry);
      this.emit('renewed', { participant });
    });
    line.on('bye', () => this.#part(participant));
    line.on('failed', (error) => {
      this.emit('failed', { participant, error });
      if (link.listed) link.retry = env.setTimeout(() => line.again(), link.backoff.next());
      else this.#part(participant);
    });
    if (!initiator) line.ready();
    return link;
  }

  #part(participant: string): void {
    const link = this.#links.get(participant);
    if (link === undefined) return;
    this.#links.delete(participant);
    this.#wiring.env.clearTimeout(link.retry);
    link.line.close();
    this.emit('gone', { participant });
  }

  #receive(message: Relayed): void {
    const participant = message.fromParticipant;
    if (participant === undefined || participant === this.room.participant) return;
    const link = this.#links.get(participant) ?? (opens(message) ? this.#connect(participant) : undefined);
    link?.line.receive(message);
  }
}
