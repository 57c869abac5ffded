import { Emitter } from './emitter.js';
import { asUsherError, UsherError } from './error.js';
import { Inbox } from './inbox.js';
import type { LeftReason, Present, Relayed, RoomEvent } from './messages.js';
import type { Signal } from './signal.js';
import type { Permission } from './types.js';

/** How a room is entered: as who is signed in, as a back end's participant, or again. */
export type Entry =
  | { readonly room: string; readonly role?: string; readonly name?: string }
  | { readonly room: string; readonly participant: string; readonly secret: string }
  | { readonly room: string; readonly participant: string; readonly token: string };

export interface RoomLinkEvents {
  roster: readonly Present[];
  rights: { readonly role: string; readonly permissions: readonly Permission[] };
  /** What somebody said in the room. */
  message: { readonly from: string; readonly participant: string; readonly payload: unknown };
  /** A moderator asks this participant to be quiet. */
  mute: { readonly participant: string; readonly payload: unknown };
  /** The connection to the room is back, in a new session. */
  rejoined: undefined;
  /** One is out of the room for good. */
  left: { readonly reason: LeftReason | 'lost'; readonly message: string };
}

type Joined = Extract<RoomEvent, { readonly action: 'room.joined' }>;

/** How many messages between peers wait for whoever opens the inbox. */
const inboxCapacity = 512;

/** A place in a room, on the wire. */
export class RoomLink extends Emitter<RoomLinkEvents> {
  readonly room: string;
  /** sdp, candidates and whatever else participants relay to this one alone. */
  readonly inbox = new Inbox<Relayed>(inboxCapacity);
  readonly #signal: Signal;
  #joined: Joined['payload'];
  #roster: readonly Present[] = [];
  #out = false;

  /** @internal */
  constructor(signal: Signal, joined: Joined) {
    super();
    this.#signal = signal;
    this.room = joined.room;
    this.#joined = joined.payload;
  }

  /** participant is one's own id in the room. */
  get participant(): string {
    return this.#joined.participant;
  }

  /** seat is what to keep in the page's session storage, so that rooms.join(seat) takes the same place when the page is loaded again. It is a secret. */
  get seat(): Entry {
    const { participant, token } = this.#joined;
    return { room: this.room, participant, token };
  }

  get role(): string {
    return this.#joined.role;
  }

  get permissions(): readonly Permission[] {
    return this.#joined.permissions;
  }

  get roster(): readonly Present[] {
    return this.#roster;
  }

  get isOut(): boolean {
    return this.#out;
  }

  /** say sends a message to everyone else in the room, or to one participant. */
  async say(payload: unknown, to?: string): Promise<void> {
    await this.#signal.request({ action: 'room.message', room: this.room, to, payload });
  }

  /** send relays something to one participant, such as an offer. What is repeatable may arrive twice, where it could be lost otherwise. */
  send(to: string, action: string, payload: unknown, options: { readonly repeatable?: boolean } = {}): void {
    if (!this.#out) this.#signal.send({ action, room: this.room, to, payload }, options);
  }

  /** askToMute asks a participant to be quiet; it needs the permission moderate, as do remove and changeRole. */
  askToMute(participant: string, kind: 'audio' | 'video'): Promise<void> {
    return this.#moderate(participant, { do: 'mute', kind });
  }

  /** remove puts a participant out for good. */
  remove(participant: string, reason = ''): Promise<void> {
    return this.#moderate(participant, { do: 'remove', reason });
  }

  changeRole(participant: string, role: string): Promise<void> {
    return this.#moderate(participant, { do: 'role', role });
  }

  async leave(): Promise<void> {
    if (this.#out) return;
    const left = this.#signal.request({ action: 'room.leave', room: this.room }, { repeatable: true });
    this.out('left', '');
    await left;
  }

  async #moderate(to: string, payload: { readonly do: string; readonly [more: string]: unknown }): Promise<void> {
    await this.#signal.request({ action: 'room.moderate', room: this.room, to, payload });
  }

  /** rejoin takes the seat again, after the session is gone. @internal */
  async rejoin(): Promise<void> {
    const { participant, token } = this.#joined;
    try {
      await this.#signal.request({ action: 'room.join', payload: { room: this.room, participant, token } });
      this.emit('rejoined', undefined);
    } catch (thrown) {
      const error = asUsherError(thrown, 'not_joined');
      if (error.code !== 'connection_lost') this.out('lost', error.message); // else the next session tries again
    }
  }

  /** happened is for what the server says of the room. @internal */
  happened(event: RoomEvent): void {
    switch (event.action) {
      case 'room.joined':
        this.#joined = event.payload;
        return;
      case 'room.roster':
        this.#roster = event.payload.participants;
        return this.emit('roster', this.#roster);
      case 'room.rights':
        this.#joined = { ...this.#joined, ...event.payload };
        return this.emit('rights', event.payload);
      case 'room.left':
        return this.out(event.payload.reason, event.payload.message ?? '');
    }
  }

  /** relayed is for what another participant sent. @internal */
  relayed(message: Relayed): void {
    const participant = message.fromParticipant ?? '';
    if (message.action === 'room.message') this.emit('message', { from: message.from, participant, payload: message.payload });
    else if (message.action === 'room.moderate') this.emit('mute', { participant, payload: message.payload });
    else this.inbox.push(message);
  }

  /** out ends the place. @internal */
  out(reason: LeftReason | 'lost', message: string): void {
    if (this.#out) return;
    this.#out = true;
    this.emit('left', { reason, message });
  }
}

/** How many messages wait for the word that one is in the room. */
const mostEarly = 64;

/** The rooms that one connection is in. */
export class Rooms {
  readonly #links = new Map<string, RoomLink>();
  readonly #unclaimed = new Set<RoomLink>(); // that nobody was given yet
  #joining = 0;
  #early: Relayed[] = []; // others see a newcomer, and may write to it, before it is told itself

  constructor(readonly signal: Signal) {
    signal.on('room', (event) => this.#happened(event));
    signal.on('message', (message) => {
      if (message.room === undefined) return;
      const link = this.#links.get(message.room);
      if (link !== undefined) link.relayed(message);
      else if (this.#joining > 0 && this.#early.length < mostEarly) this.#early.push(message);
    });
    signal.on('hello', (hello) => {
      if (!hello.resumed) for (const link of this.#links.values()) void link.rejoin();
    });
    signal.on('stopped', (error) => {
      for (const link of [...this.#links.values()]) link.out('lost', error.message);
    });
  }

  /** join enters a room, and stays in it across lost connections as long as the server lets it. */
  async join(entry: Entry): Promise<RoomLink> {
    this.#joining++;
    let wasLost = false;
    const ended = this.signal.on('lost', () => (wasLost = true));
    try {
      const answer = await this.signal.request({ action: 'room.join', payload: entry }, { repeatable: true });
      const link = answer.action === 'room.joined' ? this.#links.get(answer.room) : undefined;
      if (link === undefined) throw new UsherError('not_joined', 'The room was left again at once.');
      this.#unclaimed.delete(link);
      return link;
    } catch (thrown) {
      const error = asUsherError(thrown, 'not_joined');
      if (!wasLost) throw error;
      return await this.#claim(entry, error);
    } finally {
      ended();
      if (--this.#joining === 0) this.#early = [];
    }
  }

  /**
   * claim is for a join whose answer was lost with a socket: the session has the
   * place by now, or gets it again in a moment, and the server says that it is
   * in the room already.
   */
  async #claim(entry: Entry, error: UsherError): Promise<RoomLink> {
    // The session is told of each of its places once more.
    for (let more = this.#links.size + 1; ; more--) {
      for (const link of this.#unclaimed) {
        if (link.room !== entry.room && error.code !== 'already_in_room') continue; // a room may be named by its name
        this.#unclaimed.delete(link);
        return link;
      }
      if (error.code !== 'already_in_room' || more === 0) throw error;
      await this.#toldOfPlace();
    }
  }

  /** toldOfPlace waits until the server has said of some place that one has it, or not. */
  #toldOfPlace(): Promise<void> {
    return new Promise((resolve, reject) => {
      const ends = [
        this.signal.on('room', ({ action }) => {
          if (action === 'room.joined' || action === 'room.left') done(resolve);
        }),
        this.signal.on('lost', (error) => done(() => reject(error))),
        this.signal.on('stopped', (error) => done(() => reject(error))),
      ];
      const done = (then: () => void): void => {
        for (const end of ends) end();
        then();
      };
    });
  }

  #happened(event: RoomEvent): void {
    let link = this.#links.get(event.room);
    if (link === undefined && event.action === 'room.joined') {
      link = new RoomLink(this.signal, event);
      this.#links.set(event.room, link);
      this.#unclaimed.add(link);
      const { room } = event;
      const mine = link;
      link.on('left', () => {
        this.#unclaimed.delete(mine);
        if (this.#links.get(room) === mine) this.#links.delete(room);
      });
    }
    link?.happened(event);
    if (event.action !== 'room.joined') return;
    const early = this.#early.filter(({ room }) => room === event.room);
    this.#early = this.#early.filter(({ room }) => room !== event.room);
    for (const message of early) link?.relayed(message);
  }
}
