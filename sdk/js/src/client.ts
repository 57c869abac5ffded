import { Api } from './api.js';
import { Calls, type Call } from './calls.js';
import { CallMedia, servers, type Wiring } from './callmedia.js';
import { environment, type Environment } from './environment.js';
import { UsherError } from './error.js';
import { Http, type SignIn } from './http.js';
import type { LocalMedia } from './media.js';
import type { Hello } from './messages.js';
import { Presence } from './presence.js';
import { Renewing } from './renewing.js';
import { Rooms } from './rooms.js';
import { Signal } from './signal.js';
import { base } from './signin.js';
import type { Credential, CredentialRequest, IceServers } from './types.js';

export interface ClientOptions {
  /** The address of the server: https://usher.example.com */
  readonly url: string;
  readonly signIn: SignIn;
  /** What is used in place of the browser's. */
  readonly environment?: Partial<Environment>;
}

/** One person's client of one server. */
export class Client {
  readonly api: Api;
  readonly signal: Signal;
  readonly calls: Calls;
  readonly presence: Presence;
  readonly rooms: Rooms;
  /** The STUN and TURN servers, which are asked for when they are first needed. */
  readonly ice: Renewing<IceServers>;
  readonly #env: Environment;
  readonly #credentials = new Set<Renewing<Credential>>();

  constructor(options: ClientOptions) {
    const url = base(options.url);
    this.#env = environment(options.environment);
    this.api = new Api(new Http(this.#env, url, options.signIn));
    this.signal = new Signal(this.#env, url, options.signIn);
    this.calls = new Calls(this.#env, this.signal);
    this.presence = new Presence(this.signal);
    this.rooms = new Rooms(this.signal);
    this.ice = new Renewing(this.#env, () => this.api.iceServers());
  }

  /** connect opens the connection for presence, calls and rooms. */
  connect(): Promise<Hello> {
    return this.signal.connect();
  }

  /** credential is one for a platform that renews itself: ask it for current() before each join. */
  credential(room: string, request: CredentialRequest): Renewing<Credential> {
    const renewing = new Renewing(this.#env, () => this.api.issue(room, request));
    this.#credentials.add(renewing);
    return renewing;
  }

  /** media connects the two sides of a call, as soon as it is accepted. Without media of one's own one only sees and hears. */
  async media(call: Call, local?: LocalMedia): Promise<CallMedia> {
    const iceServers = await servers(this.ice);
    if (call.state !== 'accepted') await accepted(call);
    return new CallMedia(call, this.#wiring(), iceServers, local);
  }

  /** close ends everything: calls, rooms, renewals. */
  close(): void {
    this.signal.close();
    this.ice.stop();
    for (const renewing of this.#credentials) renewing.stop();
  }

  #wiring(): Wiring {
    return { env: this.#env, signal: this.signal, ice: this.ice };
  }
}

function accepted(call: Call): Promise<void> {
  const over = (): UsherError => new UsherError('call_over', `The call is over: ${call.reason ?? 'unknown_error'}.`);
  if (call.state === 'ended') return Promise.reject(over());
  return new Promise((resolve, reject) => {
    call.on('accepted', () => resolve());
    call.on('ended', () => reject(over()));
  });
}
