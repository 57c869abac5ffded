import type { Call } from './calls.js';
import { Emitter } from './emitter.js';
import type { UsherError } from './error.js';
import { Line } from './line.js';
import type { LocalMedia } from './media.js';
import type { Peer, PeerEvents, RemoteTrack } from './peer.js';
import type { Wiring } from './wiring.js';

export interface CallMediaEvents {
  track: PeerEvents['track'];
  trackgone: PeerEvents['trackgone'];
  state: RTCPeerConnectionState;
  connected: undefined;
  /** The connection is lost, and another way is looked for. */
  restarting: undefined;
  quality: PeerEvents['quality'];
  /** The other side has loaded its page again: its tracks are gone, and come again. */
  renewed: undefined;
  /** There is no connection: the call was hung up with the reason ice_failed. */
  failed: UsherError;
}

/** How media is exchanged. */
export interface MediaOptions {
  /** Only over relays (TURN), so that the other side does not learn one's address. */
  readonly relayOnly?: boolean;
}

/** The media of a call that was accepted. It ends with the call. */
export class CallMedia extends Emitter<CallMediaEvents> {
  readonly #line: Line;

  /** @internal */
  constructor(
    readonly call: Call,
    wiring: Wiring,
    local: LocalMedia | undefined,
    options: MediaOptions,
  ) {
    super();
    const line = new Line({
      wiring,
      local,
      initiator: call.offers,
      relayOnly: options.relayOnly ?? false,
      send: (action, payload) => call.send(action, payload, { repeatable: true }),
    });
    this.#line = line;
    line.on('track', (track) => this.emit('track', track));
    line.on('trackgone', (track) => this.emit('trackgone', track));
    line.on('state', (state) => this.emit('state', state));
    line.on('restarting', () => this.emit('restarting', undefined));
    line.on('quality', (quality) => this.emit('quality', quality));
    line.on('renewed', () => this.emit('renewed', undefined));
    line.on('connected', () => {
      call.connected();
      this.emit('connected', undefined);
    });
    line.on('failed', (error) => {
      call.hangup('ice_failed').catch(() => {}); // it is over here in any case
      this.emit('failed', error);
    });
    if (call.resumed) line.ready(); // the other side has the connection to the page before
    const ends = [
      call.inbox.open((message) => line.receive(message)),
      wiring.signal.on('hello', () => {
        line.peer.resync();
        if (line.peer.connection.connectionState === 'connected') call.connected();
      }),
    ];
    const close = (): void => {
      for (const end of ends) end();
      line.close();
    };
    call.on('ended', close);
    if (call.state === 'ended') close();
  }

  /** peer is the connection. It is another one after 'renewed'. */
  get peer(): Peer {
    return this.#line.peer;
  }

  /** tracks is what the other side sends. */
  get tracks(): readonly RemoteTrack[] {
    return this.#line.peer.tracks;
  }
}
