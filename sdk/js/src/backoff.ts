/** How long to wait between attempts; in milliseconds. */
export interface BackoffLimits {
  readonly first: number;
  readonly longest: number;
}

/** Waits that double, each with jitter, so that many clients do not come back at once. */
export class Backoff {
  #attempts = 0;

  constructor(
    readonly limits: BackoffLimits,
    readonly random: () => number,
  ) {}

  /** next is how long to wait now: between half of the doubled time and all of it. */
  next(): number {
    const most = Math.min(this.limits.longest, this.limits.first * 2 ** Math.min(this.#attempts, 30));
    this.#attempts++;
    return most / 2 + (this.random() * most) / 2;
  }

  /** reset starts again with the first wait. */
  reset(): void {
    this.#attempts = 0;
  }
}
