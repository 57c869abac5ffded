import { Backoff } from './backoff.js';
import { Emitter } from './emitter.js';
import type { Environment, Timer } from './environment.js';
import { asUsherError, UsherError } from './error.js';
import type { Expiring } from './types.js';

/** longestTimer is how long a browser's timer can be set for, in milliseconds. */
const longestTimer = 2 ** 31 - 1;

export interface RenewingEvents<T> {
  /** There is another. */
  renewed: T;
  /** An attempt to renew failed; others follow. */
  retrying: UsherError;
  /**
   * Nothing more is tried by itself. If the reason is final, never; if it has
   * expired without an answer, the network's return or current() try again.
   */
  stopped: UsherError;
}

/**
 * Something that is renewed before it expires: a credential, or the ICE
 * servers. Times are relative to when the answer came, so that a wrong clock
 * does no harm. What fails is tried again, with growing waits, until it expires;
 * a refusal that is final stops it at once and says why.
 */
export class Renewing<T extends Expiring> extends Emitter<RenewingEvents<T>> {
  readonly #env: Environment;
  readonly #ask: () => Promise<T>;
  readonly #backoff: Backoff;
  #current: T | undefined;
  #refreshAt = 0;
  #expiresAt = 0;
  #timer: Timer | undefined;
  #asking: Promise<T> | undefined;
  #stopped: UsherError | undefined;
  readonly #endWake: () => void;

  constructor(env: Environment, ask: () => Promise<T>) {
    super();
    this.#env = env;
    this.#ask = ask;
    this.#backoff = new Backoff({ first: 1000, longest: 30_000 }, env.random);
    this.#endWake = env.onWake(() => this.#wake());
  }

  /** reason is why it has stopped for good, if it has. */
  get reason(): UsherError | undefined {
    return this.#stopped;
  }

  /** current returns one that is good now: before each join it is asked for, since timers stop while a machine sleeps. */
  async current(): Promise<T> {
    const now = this.#env.now();
    if (this.#current !== undefined && now < this.#refreshAt) return this.#current;
    if (this.#stopped === undefined) {
      try {
        return await this.#renew();
      } catch (error) {
        if (this.#current === undefined || this.#env.now() >= this.#expiresAt) throw error;
      }
    }
    if (this.#current !== undefined && this.#env.now() < this.#expiresAt) return this.#current;
    throw this.#stopped ?? new UsherError('expired', 'What was granted has expired.');
  }

  /** stop ends the renewals. */
  stop(): void {
    this.#end(new UsherError('stopped', 'It was stopped.', { final: true }), false);
  }

  #wake(): void {
    if (this.#current === undefined || this.#stopped !== undefined || this.#env.now() < this.#refreshAt) return;
    this.#backoff.reset();
    this.#renew().catch(() => {}); // it was told, and a timer is set
  }

  #renew(): Promise<T> {
    this.#asking ??= this.#attempt().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #attempt(): Promise<T> {
    this.#env.clearTimeout(this.#timer);
    let next: T;
    try {
      next = timed(await this.#ask());
    } catch (thrown) {
      const error = asUsherError(thrown, 'renewal_failed');
      this.#failed(error);
      throw error;
    }
    if (this.#stopped !== undefined) throw this.#stopped; // meanwhile
    const now = this.#env.now();
    this.#current = next;
    this.#expiresAt = now + next.expires_in * 1000;
    this.#refreshAt = now + Math.max(0, Math.min(next.refresh_in, next.expires_in)) * 1000;
    this.#backoff.reset();
    this.#schedule(Math.max(1000, this.#refreshAt - now));
    this.emit('renewed', next);
    return next;
  }

  #failed(error: UsherError): void {
    if (this.#stopped !== undefined) return;
    if (error.final) {
      this.#end(error, true);
      return;
    }
    if (this.#current === undefined) return; // whoever asks for the first one is told, and decides
    const left = this.#expiresAt - this.#env.now();
    if (left <= 0) {
      this.emit('stopped', new UsherError('expired', `It expired and could not be renewed: ${error.message}`, { cause: error }));
      return;
    }
    const wait = Math.max(this.#backoff.next(), (error.retryAfter ?? 0) * 1000);
    this.#schedule(Math.min(wait, left));
    this.emit('retrying', error);
  }

  #schedule(wait: number): void {
    this.#env.clearTimeout(this.#timer);
    this.#timer = this.#env.setTimeout(() => {
      if (wait > longestTimer) this.#schedule(wait - longestTimer);
      else this.#renew().catch(() => {}); // as in #wake
    }, Math.min(wait, longestTimer));
  }

  #end(reason: UsherError, tell: boolean): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = reason;
    this.#env.clearTimeout(this.#timer);
    this.#endWake();
    if (tell) this.emit('stopped', reason);
  }
}

/** timed is what was granted, if it says for how long: timers that are set without a number run without end. */
function timed<T extends Expiring>(granted: T): T {
  if (Number.isFinite(granted?.expires_in) && Number.isFinite(granted.refresh_in)) return granted;
  throw new UsherError('answer_invalid', 'The server does not say for how long it is good.');
}
