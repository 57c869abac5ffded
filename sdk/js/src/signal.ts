import { Backoff } from './backoff.js';
import { afterClose } from './closing.js';
import { Emitter } from './emitter.js';
import type { Environment, Socket, Timer } from './environment.js';
import { asUsherError, UsherError } from './error.js';
import type { SignIn } from './http.js';
import { parse, type CallEvent, type Hello, type Incoming, type Outgoing, type Relayed, type RoomEvent, type Status } from './messages.js';
import { Requests, type Answer, type Repeating } from './requests.js';

/** Times of the connection, in milliseconds. */
const times = { ping: 20_000, pong: 10_000, hello: 15_000, firstWait: 500, longestWait: 30_000, longFirstWait: 5000 } as const;

/** How often in a row a new token may be refused before that is final. */
const mostRefusals = 2;

export type SignalState = 'closed' | 'connecting' | 'open' | 'waiting';

export interface SignalEvents {
  state: SignalState;
  /** The server greets: at the start, and each time that the connection is back. */
  hello: Hello;
  presence: { readonly userId: string; readonly status: Status };
  /** The contact list is to be read again. */
  contacts: undefined;
  call: CallEvent;
  room: RoomEvent;
  /** What another client sent. */
  message: Relayed;
  /** A message without an answer of its own was refused. */
  refused: UsherError;
  /** The connection is lost, and another attempt follows. */
  lost: UsherError;
  /** It is over, and why. */
  stopped: UsherError;
}

/**
 * The connection to /signal. It authenticates, renews its token when told,
 * notices when it is dead, and comes back with the session, if that is there
 * still: then nothing of calls was missed.
 */
export class Signal extends Emitter<SignalEvents> {
  readonly #env: Environment;
  readonly #url: string;
  readonly #signIn: SignIn;
  readonly #backoff: Backoff;
  readonly #slowly: Backoff;
  readonly #requests = new Requests();
  #state: SignalState = 'closed';
  #socket: Socket | undefined;
  #hello: Hello | undefined;
  #resume: string | undefined;
  #seq = 0;
  #fresh = false;
  #refusals = 0;
  #refusal: UsherError | undefined; // said before the hello
  #back: number | undefined; // in how many seconds to come back to a server that restarts
  #timer: Timer | undefined; // of the next attempt, or of the hello
  #heartbeat: Timer | undefined;
  #renewal: Timer | undefined;
  #renewedAt = Number.NEGATIVE_INFINITY;
  #endWake: () => void = () => {};
  #attempt = 0; // tells apart what a token was asked for

  constructor(env: Environment, base: string, signIn: SignIn) {
    super();
    this.#env = env;
    this.#url = `${base.replace(/^http/, 'ws')}/signal`;
    this.#signIn = signIn;
    this.#backoff = new Backoff({ first: times.firstWait, longest: times.longestWait }, env.random);
    this.#slowly = new Backoff({ first: times.longFirstWait, longest: 2 * times.longestWait }, env.random);
  }

  get state(): SignalState {
    return this.#state;
  }

  /** hello is what the server greeted with last. */
  get hello(): Hello | undefined {
    return this.#hello;
  }

  /** connect opens the connection, which then stays until close or a final refusal. It returns the first greeting. */
  connect(): Promise<Hello> {
    if (this.#state === 'open' && this.#hello !== undefined) return Promise.resolve(this.#hello);
    return new Promise((resolve, reject) => {
      const done = (): void => {
        greeted();
        stopped();
      };
      const greeted = this.on('hello', (hello) => {
        done();
        resolve(hello);
      });
      const stopped = this.on('stopped', (error) => {
        done();
        reject(error);
      });
      if (this.#state !== 'closed') return;
      this.#endWake = this.#env.onWake(() => this.check());
      void this.#open();
    });
  }

  /** close leaves on purpose: the session is gone, and calls with it. */
  close(): void {
    this.#stop(new UsherError('closed', 'The connection was closed.', { final: true }));
  }

  /**
   * request sends a message and waits until the server has handled it. While
   * the connection is away it waits for it; what was under way when it was lost
   * is sent again only if it is repeatable, that is, doing it twice does nothing
   * twice, and in another session only if it is to be sent anew there.
   */
  request(message: Outgoing, options: Repeating = {}): Promise<Answer> {
    if (this.#state === 'closed') return Promise.reject(notConnected());
    const { id, answer } = this.#requests.add(message, options);
    if (this.#state === 'open') this.#requests.send(id, (text) => this.#socket?.send(text));
    return answer;
  }

  /** send sends a message, or keeps it until the connection is back, in order with requests; 'refused' tells if the server does not take it. */
  send(message: Outgoing, options: Repeating = {}): void {
    this.request(message, options).catch((thrown: unknown) => {
      this.emit('refused', asUsherError(thrown, 'not_sent'));
    });
  }

  /** check finds out now whether the connection is alive, and comes back at once if it is not. */
  check(): void {
    if (this.#state === 'waiting') {
      this.#backoff.reset();
      void this.#open();
    } else if (this.#state === 'open') this.#ping();
  }

  #become(state: SignalState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.emit('state', state);
  }

  async #open(): Promise<void> {
    this.#env.clearTimeout(this.#timer);
    this.#become('connecting');
    const attempt = ++this.#attempt;
    let first: Outgoing;
    try {
      first = await this.#first();
    } catch (thrown) {
      if (attempt !== this.#attempt) return;
      const error = asUsherError(thrown, 'sign_in_failed');
      if (error.final) this.#stop(error);
      else this.#retry(error, this.#backoff.next());
      return;
    }
    if (attempt !== this.#attempt) return;
    const { WebSocket } = this.#env;
    if (WebSocket === undefined) {
      this.#stop(new UsherError('no_websocket', 'There is no WebSocket here; give one to the client.', { final: true }));
      return;
    }
    const socket = new WebSocket(this.#url, ['usher.v1']);
    this.#socket = socket;
    this.#refusal = undefined;
    const mine = (): boolean => this.#socket === socket;
    socket.onopen = () => {
      if (mine()) socket.send(JSON.stringify(first));
    };
    socket.onmessage = (event: { readonly data: unknown }) => {
      if (mine()) this.#receive(event.data);
    };
    socket.onclose = (event: { readonly code: number; readonly reason: string }) => {
      if (mine()) this.#closed(event.code, event.reason);
    };
    socket.onerror = () => {}; // a close follows
    this.#timer = this.#env.setTimeout(() => this.#abandon('The server did not greet.'), times.hello);
  }

  /** first is the message that begins a connection. The token is there before the socket is: the server waits five seconds. */
  async #first(): Promise<Outgoing> {
    if (this.#resume !== undefined) return { action: 'resume', payload: { token: this.#resume, seq: this.#seq } };
    const token = await this.#signIn({ fresh: this.#fresh });
    return { action: 'auth', payload: { token } };
  }

  #receive(data: unknown): void {
    const incoming = parse(data);
    if (incoming === undefined) return;
    this.#beat();
    this.#dispatch(incoming);
  }

  #dispatch(incoming: Incoming): void {
    switch (incoming.kind) {
      case 'hello':
        return this.#greeted(incoming.payload);
      case 'auth':
        // The server asks for a new token, or has taken one: then there is more time left.
        if (incoming.expiresIn <= 60) this.#renewSoon(incoming.expiresIn);
        return;
      case 'ack':
        this.#requests.settle(incoming.message.ref, incoming.message);
        return;
      case 'error':
        return this.#refused(incoming);
      case 'presence':
        return this.emit('presence', incoming);
      case 'contacts':
        return this.emit('contacts', undefined);
      case 'call':
        return this.#happened(incoming.message);
      case 'room':
        this.emit('room', incoming.message);
        if (incoming.message.action === 'room.joined' && incoming.message.ref !== undefined) {
          this.#requests.settle(incoming.message.ref, incoming.message);
        }
        return;
      case 'relay':
        return this.emit('message', incoming.message);
      case 'pong':
        return;
    }
  }

  #greeted(hello: Hello): void {
    this.#env.clearTimeout(this.#timer);
    if (!hello.resumed) this.#seq = 0;
    this.#hello = hello;
    this.#resume = hello.resume.token;
    this.#fresh = false;
    this.#refusals = 0;
    this.#backoff.reset();
    this.#slowly.reset();
    this.#become('open');
    // What waited belongs before what the greeting brings about, but in a new
    // session, whose rooms are to be joined first.
    if (hello.resumed) this.#requests.sendAll((text) => this.#socket?.send(text));
    this.emit('hello', hello);
    this.#requests.sendAll((text) => this.#socket?.send(text));
  }

  #refused(e: Extract<Incoming, { readonly kind: 'error' }>): void {
    const passing = ['unavailable', 'internal', 'rate_limited', 'unreachable', 'too_many_connections'];
    const error = new UsherError(e.code, e.text, { retryAfter: e.retryAfter, reason: e.reason, final: !passing.includes(e.code) });
    if (e.code === 'restarting') this.#back = e.retryAfter;
    else if (this.#state !== 'open') this.#refusal = error;
    else if (e.ref === undefined || !this.#requests.fail(e.ref, error)) this.emit('refused', error);
  }

  /** happened hands on a call event once, and lets the server forget it. */
  #happened(event: CallEvent): void {
    if (event.seq !== undefined) {
      if (event.seq <= this.#seq) return;
      this.#seq = event.seq;
    }
    this.emit('call', event);
    if (event.seq !== undefined) this.#socket?.send(JSON.stringify({ action: 'ack', seq: event.seq }));
  }

  /** renewSoon renews the token, now if it was long ago: one whose whole life is short must not be renewed without end. */
  #renewSoon(expiresIn: number): void {
    this.#env.clearTimeout(this.#renewal);
    const wait = this.#renewedAt + expiresIn * 500 - this.#env.now();
    this.#renewal = this.#env.setTimeout(() => void this.#renew(), Math.max(0, wait));
  }

  async #renew(): Promise<void> {
    const attempt = this.#attempt;
    try {
      const token = await this.#signIn({ fresh: true });
      if (attempt !== this.#attempt || this.#state !== 'open') return;
      this.#renewedAt = this.#env.now();
      this.#socket?.send(JSON.stringify({ action: 'auth', payload: { token } }));
    } catch (thrown) {
      const error = asUsherError(thrown, 'sign_in_failed');
      if (attempt !== this.#attempt) return;
      this.emit('refused', error);
      // The socket closes with 4401 when the token expires, and that is seen to then.
      if (!error.final) this.#renewal = this.#env.setTimeout(() => void this.#renew(), this.#slowly.next());
    }
  }

  /** beat starts the wait until the server must be asked whether it is there. */
  #beat(): void {
    this.#env.clearTimeout(this.#heartbeat);
    this.#heartbeat = this.#env.setTimeout(() => this.#ping(), times.ping);
  }

  #ping(): void {
    this.#env.clearTimeout(this.#heartbeat);
    this.#socket?.send('{"action":"ping"}');
    this.#heartbeat = this.#env.setTimeout(() => this.#abandon('The server did not answer.'), times.pong);
  }

  /** abandon gives up a socket that is silent: its own close may take minutes. */
  #abandon(why: string): void {
    this.#drop();
    this.#closed(1006, why);
  }

  #closed(code: number, reason: string): void {
    this.#drop();
    const back = afterClose(code, reason);
    if (back.how === 'never') {
      this.#stop(this.#refusal ?? new UsherError(back.code, back.message, { final: true }));
      return;
    }
    const error = this.#refusal ?? new UsherError('connection_lost', reason || 'The connection was lost.', { retryAfter: this.#back });
    this.#back = undefined;
    if (back.session === 'new') {
      this.#resume = undefined;
      this.#requests.loseSession(error);
    } else this.#requests.lose(error);
    if (back.freshToken) {
      this.#fresh = true;
      if (++this.#refusals > mostRefusals) {
        this.#stop(new UsherError('unauthenticated', reason || 'The token was not accepted.', { final: true, cause: error }));
        return;
      }
    }
    // A server that closes again and again must not be called without a pause.
    const wait = back.wait === 'long' ? this.#slowly.next() : this.#backoff.next();
    this.#retry(error, back.wait === 'none' && this.#state === 'open' ? this.#env.random() * times.firstWait : wait);
  }

  #retry(error: UsherError, wait: number): void {
    this.#become('waiting');
    this.emit('lost', error);
    if (this.#state !== 'waiting') return; // a listener has closed it
    this.#timer = this.#env.setTimeout(() => void this.#open(), Math.max(wait, (error.retryAfter ?? 0) * 1000));
  }

  /** drop lets go of the socket. */
  #drop(code?: number): void {
    this.#env.clearTimeout(this.#timer);
    this.#env.clearTimeout(this.#heartbeat);
    this.#env.clearTimeout(this.#renewal);
    const socket = this.#socket;
    this.#socket = undefined;
    // What it had to say is not heard any more; Node's clients still want a listener.
    if (socket !== undefined && socket.readyState < 2) socket.close(code);
  }

  #stop(error: UsherError): void {
    if (this.#state === 'closed') return;
    this.#attempt++;
    this.#drop(1000);
    this.#endWake();
    this.#resume = undefined;
    this.#seq = 0;
    this.#requests.loseAll(error);
    this.#become('closed');
    this.emit('stopped', error);
  }
}

function notConnected(): UsherError {
  return new UsherError('not_connected', 'The client is not connected.');
}
