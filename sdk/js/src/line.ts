import { browserServers, type Wiring } from './wiring.js';
import { Emitter } from './emitter.js';
import { randomName } from './environment.js';
import type { LocalMedia } from './media.js';
import type { Relayed } from './messages.js';
import { asDescription, Peer, type PeerEvents } from './peer.js';

/** What happens to a peer, and that it is another one. */
export interface LineEvents extends PeerEvents {
  /** The connection is another one, since the other page is, or since the last one failed: the tracks of that are gone. */
  renewed: undefined;
  /** The other page wants no more of this. */
  bye: undefined;
}

export interface LineOptions {
  readonly wiring: Wiring;
  readonly local: LocalMedia | undefined;
  /** Whether this side makes the first offer of each connection. */
  readonly initiator: boolean;
  readonly relayOnly: boolean;
  readonly send: (action: string, payload: object) => void;
}

/**
 * The way to one other person, over one peer after the other. Each page that
 * talks has a name of its own, and each message says from which page to which
 * it is: a page that was loaded again knows nothing of the connection before,
 * and what was under way to the old page must not confuse the new one.
 */
export class Line extends Emitter<LineEvents> {
  readonly #options: LineOptions;
  #page = ''; // the name of this end
  #other: string | undefined; // that of the other end, once it is known
  #bound: string | undefined; // the one whose description the peer was given: it can have that of no other
  #peer: Peer;
  #endMedia: () => void = () => {};
  #closed = false;

  constructor(options: LineOptions) {
    super();
    this.#options = options;
    this.#peer = this.#connect();
  }

  get peer(): Peer {
    return this.#peer;
  }

  /** ready tells the other side that this one is there, so that it makes its offer to this page. */
  ready(): void {
    this.#send('peer.ready', {});
  }

  /** bye tells the other side that this page has nothing more to say. */
  bye(): void {
    this.#send('peer.bye', {});
  }

  /** again gives up the connection for another one. */
  again(): void {
    if (this.#closed) return;
    this.#drop();
    this.#other = undefined;
    this.#peer = this.#connect();
    this.emit('renewed', undefined);
    if (!this.#options.initiator) this.ready();
  }

  /** receive handles what the other side relayed. */
  receive(message: Relayed): void {
    if (this.#closed) return;
    const { from, to } = pagesOf(message);
    if (to !== undefined && to !== this.#page) return; // for the connection before this one
    if (message.action === 'peer.bye') {
      if (from === this.#other) this.emit('bye', undefined);
      return;
    }
    if (this.#bound !== undefined && this.#bound !== from) {
      if (!opens(message)) return; // what the page before had still under way
      this.#drop();
      this.#peer = this.#connect();
      this.emit('renewed', undefined);
    }
    this.#other = from;
    if (message.action === 'peer.ready') return this.#peer.resync();
    if (asDescription(message.payload) !== undefined) this.#bound = from;
    this.#peer.receive(message);
  }

  close(): void {
    this.#closed = true;
    this.#drop();
  }

  #drop(): void {
    this.#endMedia();
    this.#peer.close();
  }

  #connect(): Peer {
    const { wiring, local, initiator, relayOnly } = this.#options;
    this.#page = randomName(wiring.env, 8);
    this.#bound = undefined;
    const peer = new Peer({
      env: wiring.env,
      iceServers: wiring.iceServers(),
      polite: !initiator,
      initiator,
      relayOnly,
      send: (action, payload) => this.#send(action, payload),
    });
    const ends = [
      peer.on('track', (track) => this.emit('track', track)),
      peer.on('trackgone', (track) => this.emit('trackgone', track)),
      peer.on('state', (state) => this.emit('state', state)),
      peer.on('connected', () => this.emit('connected', undefined)),
      peer.on('restarting', () => this.emit('restarting', undefined)),
      peer.on('quality', (quality) => this.emit('quality', quality)),
      peer.on('failed', (error) => this.emit('failed', error)),
    ];
    if (local === undefined) for (const kind of ['audio', 'video'] as const) peer.onlyReceive(kind);
    else ends.push(local.attach(peer));
    ends.push(wiring.ice.on('renewed', (renewed) => peer.useIceServers(browserServers(renewed))));
    this.#endMedia = () => {
      for (const end of ends) end();
    };
    return peer;
  }

  #send(action: string, payload: object): void {
    this.#options.send(action, { ...payload, page: this.#page, to: this.#other });
  }
}

/** opens reports whether a page begins a connection with a message. */
export function opens(message: Relayed): boolean {
  return message.action === 'peer.ready' || (message.action === 'sdp' && asDescription(message.payload)?.description.type === 'offer');
}

/** pagesOf says from which page to which a message is. Who does not say is known by the device. */
function pagesOf(message: Relayed): { readonly from: string; readonly to: string | undefined } {
  const { page, to } = (typeof message.payload === 'object' && message.payload !== null ? message.payload : {}) as Record<string, unknown>;
  return { from: typeof page === 'string' ? page : message.fromConnection, to: typeof to === 'string' ? to : undefined };
}
