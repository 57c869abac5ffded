import type { Environment, Timer } from './environment.js';

/** How long candidates are gathered before they are sent together, in milliseconds. */
const gatherTime = 50;

/** Sends ICE candidates a few at a time: a browser finds dozens within a moment. */
export class CandidateBatch {
  #waiting: (RTCIceCandidateInit | null)[] = [];
  #timer: Timer | undefined;

  constructor(
    readonly env: Environment,
    readonly send: (candidates: readonly (RTCIceCandidateInit | null)[]) => void,
  ) {}

  /** add queues a candidate; null says that there are no more, and sends all at once. */
  add(candidate: RTCIceCandidateInit | null): void {
    this.#waiting.push(candidate);
    if (candidate === null) this.#flush();
    else this.#timer ??= this.env.setTimeout(() => this.#flush(), gatherTime);
  }

  /** clear forgets what waits. */
  clear(): void {
    this.env.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#waiting = [];
  }

  #flush(): void {
    const ready = this.#waiting;
    this.clear();
    if (ready.length > 0) this.send(ready);
  }
}
