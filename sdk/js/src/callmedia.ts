import type { Call } from './calls.js';
import { Emitter } from './emitter.js';
import type { Environment } from './environment.js';
import type { UsherError } from './error.js';
import type { LocalMedia } from './media.js';
import { Peer, type PeerEvents } from './peer.js';
import type { IceServers } from './types.js';
import type { Renewing } from './renewing.js';
import type { Signal } from './signal.js';

/** What connections need beside a way to the other side. */
export interface Wiring {
  readonly env: Environment;
  readonly signal: Signal;
  readonly ice: Renewing<IceServers>;
}

/** servers is what a browser takes; a server without relays has none to name, and neighbours still find each other. */
export async function servers(ice: Renewing<IceServers>): Promise<readonly RTCIceServer[]> {
  try {
    return browserServers(await ice.current());
  } catch {
    return [];
  }
}

/** browserServers leaves out empty credentials, which browsers do not take. */
export function browserServers(given: IceServers): readonly RTCIceServer[] {
  return given.ice_servers.map(({ urls, username, credential }) => (username === '' ? { urls } : { urls, username, credential }));
}

export interface CallMediaEvents {
  track: PeerEvents['track'];
  state: RTCPeerConnectionState;
  connected: undefined;
  /** There is no connection: the call was hung up with the reason ice_failed. */
  failed: UsherError;
}

/** The media of a call that was accepted. It ends with the call. */
export class CallMedia extends Emitter<CallMediaEvents> {
  readonly peer: Peer;

  /** @internal */
  constructor(
    readonly call: Call,
    wiring: Wiring,
    iceServers: readonly RTCIceServer[],
    local: LocalMedia | undefined,
  ) {
    super();
    this.peer = new Peer({
      env: wiring.env,
      iceServers,
      polite: !call.offers,
      initiator: call.offers,
      send: (action, payload) => call.send(action, payload),
    });
    const { peer } = this;
    peer.on('track', (track) => this.emit('track', track));
    peer.on('state', (state) => this.emit('state', state));
    peer.on('connected', () => {
      call.connected();
      this.emit('connected', undefined);
    });
    peer.on('failed', (error) => {
      call.hangup('ice_failed').catch(() => {}); // it is over here in any case
      this.emit('failed', error);
    });
    const ends = [
      local?.attach(peer),
      call.inbox.open((message) => peer.receive(message)),
      wiring.ice.on('renewed', (renewed) => peer.useIceServers(browserServers(renewed))),
      wiring.signal.on('hello', () => {
        peer.resync();
        if (peer.connection.connectionState === 'connected') call.connected();
      }),
    ];
    if (local === undefined && call.offers) {
      peer.connection.addTransceiver('audio', { direction: 'recvonly' });
      peer.connection.addTransceiver('video', { direction: 'recvonly' });
    }
    const close = (): void => {
      for (const end of ends) end?.();
      peer.close();
    };
    call.on('ended', close);
    if (call.state === 'ended') close();
  }
}
