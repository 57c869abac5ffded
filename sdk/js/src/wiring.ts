import type { Environment } from './environment.js';
import type { Renewing } from './renewing.js';
import type { Signal } from './signal.js';
import type { IceServers } from './types.js';

/** What connections need beside a way to the other side. */
export class Wiring {
  #iceServers: readonly RTCIceServer[] = [];

  constructor(
    readonly env: Environment,
    readonly signal: Signal,
    readonly ice: Renewing<IceServers>,
  ) {
    ice.on('renewed', (renewed) => {
      this.#iceServers = browserServers(renewed);
    });
  }

  /** iceServers are those that are known now. */
  iceServers(): readonly RTCIceServer[] {
    return this.#iceServers;
  }

  /** prepare asks for the servers; one that has no relays has none to name, and neighbours still find each other. */
  async prepare(): Promise<void> {
    try {
      this.#iceServers = browserServers(await this.ice.current());
    } catch {
      this.#iceServers = [];
    }
  }
}

/** browserServers leaves out empty credentials, which browsers do not take. */
export function browserServers(given: IceServers): readonly RTCIceServer[] {
  return given.ice_servers.map(({ urls, username, credential }) => (username === '' ? { urls } : { urls, username, credential }));
}
