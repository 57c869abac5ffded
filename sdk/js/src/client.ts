import { Api } from './api.js';
import { Calls, type Call } from './calls.js';
import { CallMedia, type MediaOptions } from './callmedia.js';
import { environment, type Environment } from './environment.js';
import { UsherError } from './error.js';
import { Http, type SignIn } from './http.js';
import type { LocalMedia } from './media.js';
import { Mesh } from './mesh.js';
import type { Hello } from './messages.js';
import { Presence } from './presence.js';
import { Renewing } from './renewing.js';
import { Rooms, type RoomLink } from './rooms.js';
import { Signal } from './signal.js';
import { base } from './signin.js';
import { Wiring } from './wiring.js';
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
  readonly #wiring: Wiring;
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
    this.#wiring = new Wiring(this.#env, this.signal, this.ice);
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
  async media(call: Call, local?: LocalMedia, options: MediaOptions = {}): Promise<CallMedia> {
    await this.#wiring.prepare();
    if (call.state !== 'accepted') await accepted(call);
    return new CallMedia(call, this.#wiring, local, options);
  }

  /** mesh connects those who are in a room, each with each: for up to six. Add listeners at once. */
  async mesh(room: RoomLink, local?: LocalMedia, options: MediaOptions = {}): Promise<Mesh> {
    await this.#wiring.prepare();
    if (room.isOut) throw new UsherError('not_in_room', 'You are not in this room.');
    return new Mesh(room, this.#wiring, local, options);
  }

  /** close ends everything: calls, rooms, renewals. */
  close(): void {
    this.signal.close();
    this.ice.stop();
    for (const renewing of this.#credentials) renewing.stop();
  }
}

function accepted(call: Call): Promise<void> {
  const over = (): UsherError => new UsherError('call_over', `The call is over: ${call.reason ?? 'unknown_error'}.`, { final: true, reason: call.reason });
  if (call.state === 'ended') return Promise.reject(over());
  return new Promise((resolve, reject) => {
    call.on('accepted', () => resolve());
    call.on('ended', () => reject(over()));
  });
}
