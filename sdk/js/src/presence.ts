import { Emitter } from './emitter.js';
import type { Status } from './messages.js';
import type { Signal } from './signal.js';

export interface PresenceEvents {
  changed: { readonly userId: string; readonly status: Status };
}

/** Who is there, of those contacts who list the caller, too. */
export class Presence extends Emitter<PresenceEvents> {
  readonly #there = new Map<string, Status>();
  #said: 'online' | 'away' = 'online';

  constructor(readonly signal: Signal) {
    super();
    signal.on('presence', ({ userId, status }) => this.#set(userId, status));
    signal.on('hello', (hello) => {
      const now = new Map(hello.presence.map(({ userId, status }) => [userId, status]));
      for (const userId of [...this.#there.keys()]) if (!now.has(userId)) this.#set(userId, 'offline');
      for (const [userId, status] of now) this.#set(userId, status);
      if (!hello.resumed && this.#said === 'away') this.say('away');
    });
    signal.on('stopped', () => {
      for (const userId of [...this.#there.keys()]) this.#set(userId, 'offline');
    });
  }

  of(userId: string): Status {
    return this.#there.get(userId) ?? 'offline';
  }

  /** say tells others that this device is left alone, or that it is not any more. */
  say(status: 'online' | 'away'): void {
    this.#said = status;
    this.signal.send({ action: 'presence', payload: { status } });
  }

  #set(userId: string, status: Status): void {
    if (this.of(userId) === status) return;
    if (status === 'offline') this.#there.delete(userId);
    else this.#there.set(userId, status);
    this.emit('changed', { userId, status });
  }
}
