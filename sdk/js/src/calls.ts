import { Backoff } from './backoff.js';
import { Emitter } from './emitter.js';
import { randomName, type Environment, type Timer } from './environment.js';
import { asUsherError, UsherError } from './error.js';
import { Inbox } from './inbox.js';
import type { CallEvent, Relayed } from './messages.js';
import type { Signal } from './signal.js';

export type CallState = 'inviting' | 'ringing' | 'accepted' | 'ended';

export interface CallEvents {
  state: CallState;
  /** The other side's phone rings. */
  ringing: undefined;
  /** With what the other side sent along, or this one did. */
  accepted: { readonly payload: unknown };
  /** The call goes on in a new session: what the other side relayed meanwhile was not heard. */
  rejoined: undefined;
  ended: { readonly reason: string; readonly elsewhere: boolean };
}

/** What a page keeps of a call, for itself when it is loaded again: see {@link Calls.goOn}. It can be written as JSON. */
export interface SavedCall {
  readonly id: string;
  /** The id of one's own invite, where that went into another call. */
  readonly invite: string;
  readonly peer: string;
  readonly state: 'ringing' | 'accepted';
  readonly outgoing: boolean;
  readonly offers: boolean;
  /** That the media has flowed. */
  readonly said: boolean;
  readonly stranger: boolean;
  readonly name?: string | undefined;
  readonly email?: string | undefined;
  readonly payload?: unknown;
}

/** Made by {@link Calls}. */
interface CallStart {
  readonly id: string;
  readonly peer: string;
  readonly outgoing: boolean;
  readonly stranger: boolean;
  readonly name?: string | undefined;
  readonly email?: string | undefined;
  readonly payload?: unknown;
  /** That another page had the call before. */
  readonly saved?: SavedCall;
}

/** How long the server may take to miss the device that had a call, in milliseconds: `calls.grace`, and some more. */
const patience = 40_000;

/** What is told of a call that another device has, as far as the server knows. */
const elsewhere: ReadonlySet<string> = new Set(['call_taken', 'call_exists']);

/** How many messages of the other side wait for somebody who handles them. */
const inboxCapacity = 128;

/** A call with one other person. */
export class Call extends Emitter<CallEvents> {
  /** The user at the other end. */
  readonly peer: string;
  readonly outgoing: boolean;
  /** That the caller is no contact of the callee's. */
  readonly stranger: boolean;
  /** The caller's. */
  readonly name: string | undefined;
  readonly email: string | undefined;
  /** What the caller sent along. */
  readonly payload: unknown;
  /** That the call goes on from a page before: the media is to be connected anew. */
  readonly resumed: boolean;
  /** What the other side relays with the call's id: sdp, candidates, and whatever an app sends. */
  readonly inbox = new Inbox<Relayed>(inboxCapacity);
  readonly #signal: Signal;
  readonly #invite: string; // what this side called the call first
  #id: string;
  #state: CallState;
  #offers: boolean;
  #said: boolean; // that the media flows
  #claims = 0;
  #rang = false;
  #reason: string | undefined;
  #expiry: Timer | undefined;

  /** @internal */
  constructor(
    readonly env: Environment,
    signal: Signal,
    start: CallStart,
  ) {
    super();
    this.#signal = signal;
    const { saved } = start;
    this.#id = start.id;
    this.#invite = saved?.invite ?? start.id;
    this.#said = saved?.said ?? false;
    this.resumed = saved !== undefined;
    this.peer = start.peer;
    this.outgoing = start.outgoing;
    this.stranger = start.stranger;
    this.name = start.name;
    this.email = start.email;
    this.payload = start.payload;
    this.#offers = saved?.offers ?? start.outgoing;
    this.#state = saved?.state ?? (start.outgoing ? 'inviting' : 'ringing');
  }

  /** id is that of the call; where two people called each other, it can change once, with the acceptance. */
  get id(): string {
    return this.#id;
  }

  get state(): CallState {
    return this.#state;
  }

  /** rang says that the other side has said that it rings: that can be so before there is anybody to hear the event. */
  get rang(): boolean {
    return this.#rang;
  }

  /** offers says that this side makes the offer, and is the impolite one. */
  get offers(): boolean {
    return this.#offers;
  }

  /** saved is what to keep in the page's session storage, so that the call goes on when the page is loaded again; undefined if it is over, or only rings here. */
  get saved(): SavedCall | undefined {
    if (this.#state === 'ended' || (!this.outgoing && this.#state !== 'accepted')) return undefined;
    const { peer, outgoing, stranger, name, email, payload } = this;
    const state = this.#state === 'accepted' ? 'accepted' : 'ringing';
    return { id: this.#id, invite: this.#invite, peer, state, outgoing, offers: this.#offers, said: this.#said, stranger, name, email, payload };
  }

  /** reason is why the call has ended, if it has. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** ring tells the caller that it rings here. */
  async ring(): Promise<void> {
    await this.#signal.request({ action: 'call.ringing', callId: this.#id, to: this.peer }, { repeatable: true });
  }

  /** accept takes the call at this device; the payload goes to the caller. Who is too late gets the error call_taken. */
  async accept(payload?: unknown): Promise<void> {
    try {
      await this.#step('call.accept', payload);
    } catch (error) {
      if (error instanceof UsherError && error.code === 'call_taken') this.end('taken', true);
      throw error;
    }
    if (this.#state === 'ringing') this.accepted(payload);
  }

  /** reject declines the call at all devices. */
  async reject(reason?: string): Promise<void> {
    await this.#last('call.reject', 'rejected', reason === undefined ? undefined : { reason });
  }

  /** busy says that one is on the phone. */
  async busy(): Promise<void> {
    await this.#last('call.busy', 'user_busy');
  }

  /** ignore stops the ringing at this device alone. */
  async ignore(): Promise<void> {
    await this.#last('call.ignore', 'ignored');
  }

  /** hangup ends the call, also one that rings: a hang-up before the accept is a cancel or a reject. */
  async hangup(reason = 'user_hangup'): Promise<void> {
    if (this.#state === 'accepted') await this.#last('call.hangup', reason, { reason });
    else if (this.outgoing) await this.#last('call.cancel', 'cancelled');
    else await this.reject();
  }

  /** connected says once that the media flows. A call of which nobody says so is ended by the server. */
  connected(): void {
    if (this.#said || this.#state !== 'accepted') return;
    this.#said = true;
    this.#step('call.connected').catch((thrown: unknown) => {
      this.#said = asUsherError(thrown, 'not_sent').final; // else it is said the next time
    });
  }

  /** send relays something to the other side; its device once the call is accepted. What is repeatable may arrive twice, where it could be lost otherwise. */
  send(action: string, payload: unknown, options: { readonly repeatable?: boolean } = {}): void {
    if (this.#state !== 'ended') this.#signal.send({ action, callId: this.#id, to: this.peer, payload }, options);
  }

  /** sent is for when the server has taken the invite. @internal */
  invited(expiresIn: number | undefined): void {
    if (this.#state !== 'inviting') return;
    this.#become('ringing');
    this.ringsFor(expiresIn);
  }

  /** ringsFor ends the call here if the server's word that it is over never comes. @internal */
  ringsFor(seconds: number | undefined): void {
    if (seconds === undefined || this.#state === 'accepted') return;
    this.env.clearTimeout(this.#expiry);
    this.#expiry = this.env.setTimeout(() => this.end('invite_timeout'), (seconds + 10) * 1000);
  }

  /** accepted is for when the call is. @internal */
  accepted(payload: unknown, survivor?: { readonly id: string; readonly offers: boolean }): void {
    if (this.#state === 'accepted' || this.#state === 'ended') return;
    if (survivor !== undefined) {
      this.#id = survivor.id;
      this.#offers = survivor.offers;
    }
    this.env.clearTimeout(this.#expiry);
    this.#become('accepted');
    this.emit('accepted', { payload });
  }

  /** ringsThere is for when the other side says that it rings. @internal */
  ringsThere(): void {
    this.#rang = true;
    this.emit('ringing', undefined);
  }

  /** end is for when the call is over. @internal */
  end(reason: string, elsewhere = false): void {
    if (this.#state === 'ended') return;
    this.env.clearTimeout(this.#expiry);
    this.#reason = reason;
    this.#become('ended');
    this.emit('ended', { reason, elsewhere });
  }

  #become(state: CallState): void {
    this.#state = state;
    this.emit('state', state);
  }

  async #step(action: string, payload?: unknown): Promise<void> {
    await this.#signal.request({ action, callId: this.#id, to: this.peer, payload }, { anew: true });
  }

  /** claim has the server give the call to this device, which is another one in each new session, by saying again what was said last. @internal */
  async claim(): Promise<void> {
    const claim = ++this.#claims;
    const backoff = new Backoff({ first: 500, longest: 4000 }, this.env.random);
    const until = this.env.now() + patience;
    for (;;) {
      try {
        await this.#repeat();
        if (claim === this.#claims && this.state !== 'ended') this.emit('rejoined', undefined);
        return;
      } catch (thrown) {
        const error = asUsherError(thrown, 'unknown_error');
        if (this.#state === 'ended' || claim !== this.#claims || error.code === 'connection_lost') return; // the next session claims it
        if ((error.final && !elsewhere.has(error.code)) || this.env.now() >= until) {
          this.end(error.reason ?? 'connection_lost'); // it ended meanwhile, or nobody knows
          return;
        }
      }
      await new Promise<void>((resolve) => this.env.setTimeout(resolve, backoff.next()));
      if (this.state === 'ended' || claim !== this.#claims) return;
    }
  }

  async #repeat(): Promise<void> {
    const { peer: to, payload } = this;
    const again = { repeatable: true }; // in yet another session it is claimed anew
    if (this.#said || !this.outgoing) {
      await this.#signal.request({ action: this.#said ? 'call.connected' : 'call.accept', callId: this.#id, to }, again);
      return;
    }
    const answer = await this.#signal.request({ action: 'call.invite', to, callId: this.#invite, payload }, again);
    if (answer.action === 'ack' && answer.payload?.state === 'accepted') this.accepted(undefined);
  }

  /** last is a step after which the call is over here, whatever the server says of it. */
  async #last(action: string, reason: string, payload?: unknown): Promise<void> {
    if (this.#state === 'ended') return;
    const sent = this.#step(action, payload);
    this.end(reason);
    try {
      await sent;
    } catch (error) {
      if (!(error instanceof UsherError) || !['call_over', 'call_not_found', 'call_taken'].includes(error.code)) throw error;
    }
  }
}

export interface CallsEvents {
  /** Somebody calls: it rings until the call's 'ended', or until it is accepted. */
  incoming: Call;
  /** A call was missed, also one that never rang here. */
  missed: { readonly callId: string; readonly from: string; readonly reason: string };
}

/** The calls of one client. */
export class Calls extends Emitter<CallsEvents> {
  readonly #calls = new Map<string, Call>();

  constructor(
    readonly env: Environment,
    readonly signal: Signal,
  ) {
    super();
    signal.on('call', (event) => this.#happened(event));
    signal.on('message', (message) => {
      if (message.callId === undefined || message.room !== undefined) return;
      const call = this.#calls.get(message.callId);
      if (call?.peer === message.from) call.inbox.push(message);
    });
    signal.on('hello', (hello) => {
      if (!hello.resumed) this.#newSession();
    });
    signal.on('stopped', (error) => {
      for (const call of this.list()) call.end(error.code === 'closed' ? 'user_hangup' : 'connection_lost');
    });
  }

  /** list is all calls that are not over. */
  list(): readonly Call[] {
    return [...new Set(this.#calls.values())];
  }

  /** call rings at all devices of a user. The payload is for contacts only. */
  async call(to: string, payload?: unknown): Promise<Call> {
    const id = randomName(this.env, 20);
    const call = this.#add({ id, peer: to, outgoing: true, stranger: false, payload });
    try {
      const answer = await this.signal.request({ action: 'call.invite', to, callId: id, payload }, { anew: true });
      call.invited(answer.action === 'ack' ? answer.payload?.expiresIn : undefined);
    } catch (error) {
      call.end(error instanceof UsherError ? error.code : 'unknown_error');
      throw error;
    }
    return call;
  }

  /**
   * goOn takes a call up again in a page that was loaded anew, or started after
   * it had crashed: `call.saved` is what the page before has kept. Connect first.
   * It rejects with call_over, and how it ended, if there is no call any more; else connect the media anew.
   */
  async goOn(saved: SavedCall): Promise<Call> {
    const call = this.#calls.get(saved.id) ?? this.#add({ ...saved, saved });
    await call.claim();
    if (call.state === 'ended') throw new UsherError('call_over', 'The call is over.', { final: true, reason: call.reason });
    return call;
  }

  #add(start: CallStart): Call {
    const call = new Call(this.env, this.signal, start);
    this.#calls.set(start.id, call);
    call.on('ended', () => {
      for (const [id, other] of this.#calls) if (other === call) this.#calls.delete(id);
    });
    return call;
  }

  #happened(event: CallEvent): void {
    const call = this.#calls.get(event.callId);
    switch (event.action) {
      case 'call.invite':
      case 'call.request':
        return this.#rings(event, call);
      case 'call.ringing':
        return call?.ringsThere();
      case 'call.accept':
        return this.#accepted(event, call);
      case 'call.reject':
        return call?.end(event.call.reason ?? 'rejected');
      case 'call.cancel':
        return call?.end(event.call.reason ?? 'cancelled');
      case 'call.busy':
        return call?.end(event.call.reason ?? 'user_busy');
      case 'call.taken':
        return call?.end(event.call.reason ?? 'taken', true);
      case 'call.hangup':
        return call?.end(event.call.reason ?? 'user_hangup');
      case 'call.missed':
        call?.end(event.call.reason ?? 'invite_timeout');
        return this.emit('missed', { callId: event.callId, from: event.from ?? '', reason: event.call.reason ?? '' });
    }
  }

  #rings(event: CallEvent, known: Call | undefined): void {
    if (known !== undefined) return known.ringsFor(event.call.expiresIn); // told again, after a reconnection
    const { name, email, expiresIn } = event.call;
    const stranger = event.action === 'call.request';
    const call = this.#add({ id: event.callId, peer: event.from ?? '', outgoing: false, stranger, name, email, payload: event.payload });
    call.ringsFor(expiresIn);
    this.emit('incoming', call);
  }

  /** accepted also sees to two people who called each other: one of the two calls survives. */
  #accepted(event: CallEvent, call: Call | undefined): void {
    const { merged } = event.call;
    if (merged === undefined) return call?.accepted(event.payload);
    const other = this.#calls.get(merged);
    const mine = [call, other].find((candidate) => candidate?.outgoing) ?? call ?? other;
    if (mine === undefined) return;
    const offers = mine.outgoing && mine.id === event.callId;
    for (const candidate of [call, other]) if (candidate !== undefined && candidate !== mine) candidate.end('merged', true);
    this.#calls.delete(merged);
    this.#calls.set(event.callId, mine);
    mine.accepted(event.payload, { id: event.callId, offers });
  }

  /** A new session is another device: it says that it goes on with the calls of the last one. What rings here is told again. */
  #newSession(): void {
    for (const call of this.list()) {
      const rings = !call.outgoing && call.state === 'ringing';
      if (!rings && call.state !== 'inviting') void call.claim(); // an invite is sent anew by itself
    }
  }
}
