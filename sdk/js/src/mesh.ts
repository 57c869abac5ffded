import { browserServers, type Wiring } from './callmedia.js';
import { Emitter } from './emitter.js';
import { UsherError } from './error.js';
import type { LocalMedia } from './media.js';
import type { Present, Relayed } from './messages.js';
import { Peer, type PeerEvents } from './peer.js';
import type { RoomLink } from './rooms.js';

export interface MeshEvents {
  track: PeerEvents['track'] & { readonly participant: string };
  state: { readonly participant: string; readonly state: RTCPeerConnectionState };
  /** A participant is gone, with all tracks. */
  gone: { readonly participant: string };
  /** A connection to one participant failed, or there are too many in the room. */
  failed: { readonly participant: string; readonly error: UsherError };
}

/** One connection of a mesh. */
interface Link {
  readonly peer: Peer;
  /** The other's device: another one is another page, which knows nothing of this connection. */
  device: string | undefined;
  readonly end: () => void;
}

/** With how many others a browser can exchange video directly. */
const mostPeers = 5;

/** Media among all who are in a small room, each directly with each. */
export class Mesh extends Emitter<MeshEvents> {
  readonly #links = new Map<string, Link>();
  readonly #wiring: Wiring;
  readonly #local: LocalMedia | undefined;
  readonly #ends: readonly (() => void)[];
  #iceServers: readonly RTCIceServer[];
  #closed = false;

  /** @internal */
  constructor(
    readonly room: RoomLink,
    wiring: Wiring,
    iceServers: readonly RTCIceServer[],
    local: LocalMedia | undefined,
  ) {
    super();
    this.#wiring = wiring;
    this.#iceServers = iceServers;
    this.#local = local;
    this.#ends = [
      room.on('roster', (roster) => this.#meet(roster)),
      room.on('left', () => this.close()),
      wiring.ice.on('renewed', (renewed) => {
        this.#iceServers = browserServers(renewed);
        for (const { peer } of this.#links.values()) peer.useIceServers(this.#iceServers);
      }),
      wiring.signal.on('hello', () => {
        for (const { peer } of this.#links.values()) peer.resync();
      }),
    ];
    // Listeners are added after the constructor, and must miss nothing.
    queueMicrotask(() => {
      if (this.#closed) return;
      this.#meet(room.roster);
      (this.#ends as (() => void)[]).push(room.inbox.open((message) => this.#receive(message)));
    });
  }

  /** participants are those that there is a connection to, or that one is being made to. */
  get participants(): readonly string[] {
    return [...this.#links.keys()];
  }

  /** peer is the connection to one participant. */
  peer(participant: string): Peer | undefined {
    return this.#links.get(participant)?.peer;
  }

  /** close ends all connections, and stays in the room. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const end of this.#ends) end();
    for (const participant of [...this.#links.keys()]) this.#part(participant);
  }

  #meet(roster: readonly Present[]): void {
    const others = roster.map(({ id }) => id).filter((id) => id !== this.room.participant);
    for (const participant of [...this.#links.keys()]) if (!others.includes(participant)) this.#part(participant);
    for (const participant of others) if (!this.#links.has(participant)) this.#connect(participant);
  }

  #connect(participant: string, device?: string): Link | undefined {
    if (this.#links.size >= mostPeers) {
      const error = new UsherError('mesh_full', `A room of more than ${mostPeers + 1} needs a media server.`);
      this.emit('failed', { participant, error });
      return undefined;
    }
    const peer = new Peer({
      env: this.#wiring.env,
      iceServers: this.#iceServers,
      polite: this.room.participant > participant,
      initiator: true,
      send: (action, payload) => this.room.send(participant, action, payload),
    });
    peer.on('track', (track) => this.emit('track', { ...track, participant }));
    peer.on('state', (state) => this.emit('state', { participant, state }));
    peer.on('failed', (error) => this.emit('failed', { participant, error }));
    const detach = this.#local?.attach(peer);
    if (this.#local === undefined) {
      peer.connection.addTransceiver('audio', { direction: 'recvonly' });
      peer.connection.addTransceiver('video', { direction: 'recvonly' });
    }
    const link: Link = {
      peer,
      device,
      end: () => {
        detach?.();
        peer.close();
      },
    };
    this.#links.set(participant, link);
    return link;
  }

  #part(participant: string): void {
    const link = this.#links.get(participant);
    if (link === undefined) return;
    this.#links.delete(participant);
    link.end();
    this.emit('gone', { participant });
  }

  #receive(message: Relayed): void {
    const participant = message.fromParticipant;
    if (participant === undefined) return;
    let link = this.#links.get(participant);
    if (link?.device !== undefined && link.device !== message.fromConnection) {
      if (message.action !== 'sdp') return; // what the page before had still under way
      this.#part(participant);
      link = undefined;
    }
    link ??= this.#connect(participant, message.fromConnection);
    if (link === undefined) return;
    link.device = message.fromConnection;
    link.peer.receive(message);
  }
}
