import type { UsherError } from './error.js';
import type { Ack, Outgoing, RoomEvent } from './messages.js';

/** The server's answer to a request. */
export type Answer = Ack | Extract<RoomEvent, { readonly action: 'room.joined' }>;

/** What may be done with a request whose answer does not come. */
export interface Repeating {
  /** It may be sent again in the same session: doing it twice does nothing twice. */
  readonly repeatable?: boolean;
  /** Also in another session. */
  readonly anew?: boolean;
}

interface Request {
  readonly text: string;
  readonly repeating: Repeating;
  sent: boolean;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: UsherError) => void;
}

/** What was asked and is not answered yet, in order. */
export class Requests {
  readonly #open = new Map<string, Request>();
  #next = 0;

  /** add enters a request, which is not sent yet. */
  add(message: Outgoing, repeating: Repeating): { readonly id: string; readonly answer: Promise<Answer> } {
    const id = String(++this.#next);
    const answer = new Promise<Answer>((resolve, reject) => {
      this.#open.set(id, { text: JSON.stringify({ ...message, id }), repeating, sent: false, resolve, reject });
    });
    return { id, answer };
  }

  send(id: string, write: (text: string) => void): void {
    const request = this.#open.get(id);
    if (request === undefined || request.sent) return;
    request.sent = true;
    write(request.text);
  }

  /** sendAll sends what waits. */
  sendAll(write: (text: string) => void): void {
    for (const id of [...this.#open.keys()]) this.send(id, write);
  }

  settle(ref: string, answer: Answer): void {
    const request = this.#open.get(ref);
    this.#open.delete(ref);
    request?.resolve(answer);
  }

  /** fail reports whether there was such a request. */
  fail(ref: string, error: UsherError): boolean {
    const request = this.#open.get(ref);
    this.#open.delete(ref);
    request?.reject(error);
    return request !== undefined;
  }

  /** lose is for a lost socket: what was sent on it is sent again, or has failed. */
  lose(error: UsherError): void {
    for (const [id, request] of [...this.#open]) {
      if (!request.sent) continue;
      if (request.repeating.repeatable || request.repeating.anew) request.sent = false;
      else this.fail(id, error);
    }
  }

  /** loseSession is for a lost session: what was meant for it has failed. */
  loseSession(error: UsherError): void {
    for (const [id, request] of [...this.#open]) {
      if (request.repeating.anew) request.sent = false;
      else this.fail(id, error);
    }
  }

  /** loseAll is for the end: all that waits has failed. */
  loseAll(error: UsherError): void {
    for (const id of [...this.#open.keys()]) this.fail(id, error);
  }
}
