/** Keeps what comes before anybody handles it, at most so many; the oldest go first. */
export class Inbox<T> {
  readonly #waiting: T[] = [];
  #handle: ((item: T) => void) | undefined;

  constructor(readonly capacity: number) {}

  /** push hands an item on, or keeps it. */
  push(item: T): void {
    if (this.#handle !== undefined) {
      this.#handle(item);
      return;
    }
    this.#waiting.push(item);
    if (this.#waiting.length > this.capacity) this.#waiting.shift();
  }

  /** open hands on what was kept, and all that comes from now on; there is one handler at a time. */
  open(handle: (item: T) => void): () => void {
    this.#handle = handle;
    for (const item of this.#waiting.splice(0)) handle(item);
    return () => {
      if (this.#handle === handle) this.#handle = undefined;
    };
  }
}
