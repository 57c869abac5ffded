// Whole meetings at random: pages come, go, lose their sockets and their
// sessions, are loaded again and share screens, over wires that are slow and a
// server that tells of newcomers at the worst moment. In the end each must be
// connected with each.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Socket } from '../dist/environment.js';
import { Mesh } from '../dist/mesh.js';
import { Renewing } from '../dist/renewing.js';
import { Rooms, type Entry, type RoomLink } from '../dist/rooms.js';
import { Signal } from '../dist/signal.js';
import { Wiring } from '../dist/wiring.js';
import { Clock, FakeConnection, FakeTrack, FakeWebRTC, world, type Sent } from './fakes.js';

interface Session {
  readonly name: string;
  socket: WireSocket | undefined;
  seat: string | undefined;
  admitted: number;
}

/** The server, and the wires to it. */
class Hub {
  readonly clock = new Clock();
  readonly seats = new Map<string, Session | undefined>(); // who is in the room, and by which session
  readonly sessions = new Map<string, Session>();
  #names = 0;
  #told = 0;

  constructor(readonly chance: () => number) {}

  /** name is one of which nobody can say whether it comes before another. */
  name(): string {
    return `${Math.floor(this.chance() * 1e6).toString(36)}-${++this.#names}`;
  }

  later(run: () => void): void {
    this.clock.setTimeout(run, this.chance() * 150);
  }

  receive(socket: WireSocket, sent: Sent): void {
    const { session } = socket;
    switch (sent.action) {
      case 'auth':
        return this.#greet(socket, this.#session(), false);
      case 'resume': {
        const known = this.sessions.get(String(sent.payload?.['token']));
        return known === undefined ? socket.breaks(4404) : this.#greet(socket, known, true);
      }
      case 'ping':
        return socket.deliver({ action: 'pong' });
      case 'room.join':
        return this.#join(socket, session, sent);
      case 'room.leave':
        if (session?.seat !== undefined) this.seats.delete(session.seat);
        if (session !== undefined) session.seat = undefined;
        this.rosters();
        return socket.deliver({ action: 'ack', ref: sent.id });
    }
    const to = this.seats.get(sent.to ?? '')?.socket;
    if (session?.seat === undefined || to === undefined) return socket.deliver({ action: 'error', ref: sent.id, payload: { code: 'participant_not_found', message: 'No.' } });
    to.deliver({ action: sent.action, room: 'r', from: 'u', fromConnection: session.name, fromParticipant: session.seat, ts: 1, payload: sent.payload });
    socket.deliver({ action: 'ack', ref: sent.id });
  }

  /** restart forgets all sessions, and keeps the seats. */
  restart(): void {
    const sockets = [...this.sessions.values()].map(({ socket }) => socket);
    this.sessions.clear();
    for (const seat of this.seats.keys()) {
      this.seats.set(seat, undefined);
      this.#keep(seat);
    }
    for (const socket of sockets) socket?.breaks(1012);
  }

  /** rosters tells everybody who is there now, some time later, and of each change in order. */
  rosters(): void {
    const at = (this.#told = Math.max(this.#told, this.clock.now + this.chance() * 150) + 1);
    const participants = [...this.seats.keys()].map((id) => ({ id, name: id, role: 'speaker', guest: false }));
    for (const session of this.seats.values()) {
      const socket = session?.socket;
      // A newcomer is told that it is in first.
      this.clock.setTimeout(() => socket?.deliver({ action: 'room.roster', room: 'r', payload: { participants } }), Math.max(at, session?.admitted ?? 0) - this.clock.now);
    }
  }

  /** lose is for a session whose socket is gone. */
  lose(session: Session): void {
    session.socket = undefined;
    if (session.seat !== undefined) this.#keep(session.seat);
  }

  /** keep frees a seat if nobody has come back to it in time. */
  #keep(seat: string): void {
    this.clock.setTimeout(() => {
      if (this.seats.get(seat)?.socket === undefined && this.seats.delete(seat)) this.rosters();
    }, 30_000);
  }

  #session(): Session {
    const session: Session = { name: this.name(), socket: undefined, seat: undefined, admitted: 0 };
    this.sessions.set(session.name, session);
    return session;
  }

  #greet(socket: WireSocket, session: Session, resumed: boolean): void {
    session.socket?.breaks(4409);
    session.socket = socket;
    socket.session = session;
    socket.deliver({ action: 'hello', payload: { userId: 'u', connection: session.name, resumed, resume: { token: session.name, window: 30 }, limits: {}, presence: [] } });
    if (resumed && session.seat !== undefined) this.#seat(socket, session, session.seat, undefined);
  }

  #join(socket: WireSocket, session: Session | undefined, sent: Sent): void {
    const participant = sent.payload?.['participant'];
    if (session === undefined) return;
    if (session.seat !== undefined) return socket.deliver({ action: 'error', ref: sent.id, payload: { code: 'already_in_room', message: 'Yes.' } });
    if (typeof participant === 'string' && !this.seats.has(participant)) return socket.deliver({ action: 'error', ref: sent.id, payload: { code: 'token_invalid', message: 'No.' } });
    const seat = typeof participant === 'string' ? participant : this.name();
    const before = this.seats.get(seat);
    if (before !== undefined && before !== session) before.seat = undefined;
    this.#seat(socket, session, seat, sent.id);
  }

  /** seat lets others see, and write to, somebody who is told so only later. */
  #seat(socket: WireSocket, session: Session, seat: string, ref: string | undefined): void {
    session.seat = seat;
    session.admitted = this.clock.now + this.chance() * 50 + 1;
    this.seats.set(seat, session);
    this.rosters();
    this.clock.setTimeout(() => socket.deliver({ action: 'room.joined', ref, room: 'r', payload: { participant: seat, role: 'speaker', permissions: [], token: 't' } }), session.admitted - this.clock.now - 1);
  }
}

/** A socket whose two wires keep their order, and take their time. */
class WireSocket implements Socket {
  readyState = 1;
  session: Session | undefined;
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  #up = 0;
  #down = 0;

  constructor(readonly hub: Hub) {
    hub.later(() => this.onopen?.({} as never));
  }

  send(data: string): void {
    const at = (this.#up = Math.max(this.#up, this.hub.clock.now + this.hub.chance() * 80));
    this.#at(at, () => this.hub.receive(this, JSON.parse(data) as Sent));
  }

  deliver(message: object): void {
    const data = JSON.stringify(message);
    const at = (this.#down = Math.max(this.#down, this.hub.clock.now + this.hub.chance() * 80));
    this.#at(at, () => this.onmessage?.({ data } as never));
  }

  close(): void {
    this.readyState = 3;
    this.#lost();
  }

  /** breaks loses all that is under way. */
  breaks(code: number): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.#lost();
    this.onclose?.({ code, reason: '' } as never);
  }

  #lost(): void {
    if (this.session?.socket === this) this.hub.lose(this.session);
  }

  #at(at: number, run: () => void): void {
    this.hub.clock.setTimeout(() => {
      if (this.readyState === 1) run();
    }, at - this.hub.clock.now);
  }
}

/** One page, in which the SDK runs. */
class Page {
  readonly sockets: WireSocket[] = [];
  readonly signal: Signal;
  readonly rooms: Rooms;
  readonly wiring: Wiring;
  link: RoomLink | undefined;
  mesh: Mesh | undefined;

  constructor(hub: Hub) {
    const { sockets } = this;
    const { clock } = hub;
    const { env } = world({
      now: () => clock.now,
      setTimeout: clock.setTimeout,
      clearTimeout: clock.clearTimeout,
      random: hub.chance,
      RTCPeerConnection: FakeWebRTC,
      WebSocket: class extends WireSocket {
        constructor() {
          super(hub);
          sockets.push(this);
        }
      },
    });
    this.signal = new Signal(env, 'http://host', () => 'token');
    this.rooms = new Rooms(this.signal);
    this.wiring = new Wiring(env, this.signal, new Renewing(env, () => Promise.reject(new Error('none'))));
    void this.signal.connect().catch(() => {});
  }

  async enter(entry: Entry): Promise<void> {
    for (;;) {
      try {
        this.link = await this.rooms.join(entry);
        break;
      } catch (error) {
        if ((error as { readonly code: string }).code !== 'connection_lost') throw error;
      }
    }
    this.mesh = new Mesh(this.link, this.wiring, undefined, {});
  }

  peer(participant: string): FakeConnection | undefined {
    return this.mesh?.peer(participant)?.connection as unknown as FakeConnection | undefined;
  }

  get others(): readonly FakeConnection[] {
    return (this.mesh?.participants ?? []).map((id) => this.peer(id)).filter((one) => one !== undefined);
  }
}

const same = (one: unknown, other: unknown): boolean => one !== null && JSON.stringify(one) === JSON.stringify(other);
const agree = (one: FakeConnection, other: FakeConnection): boolean =>
  one.signalingState === 'stable' && other.signalingState === 'stable' && same(one.localDescription, other.remoteDescription) && same(other.localDescription, one.remoteDescription);

/** network connects those who agree, and tells those whose other side is gone. */
class Network {
  readonly #partners = new Map<FakeConnection, FakeConnection>();

  tick(): void {
    const alive = FakeConnection.all.filter(({ closed }) => !closed);
    for (const one of alive) {
      const partner = this.#partners.get(one);
      if (partner?.closed) {
        this.#partners.delete(one);
        one.becomes('disconnected');
      } else if (partner === undefined) {
        const other = alive.find((candidate) => candidate !== one && agree(one, candidate));
        if (other === undefined) continue;
        this.#partners.set(one, other).set(other, one);
        one.becomes('connected');
        other.becomes('connected');
      }
    }
  }
}

async function meeting(seed: number): Promise<string | undefined> {
  let state = seed;
  const chance = (): number => (state = (state * 16807) % 2147483647) / 2147483647;
  FakeConnection.all = [];
  const hub = new Hub(chance);
  const network = new Network();
  const pages: Page[] = [];
  const pass = async (milliseconds: number): Promise<void> => {
    for (let passed = 0; passed < milliseconds; passed += 100) {
      await hub.clock.pass(100);
      network.tick();
    }
  };
  const come = (entry: Entry): void => {
    const page = new Page(hub);
    pages.push(page);
    void page.enter(entry).catch(() => {});
  };
  const some = (): Page | undefined => pages[Math.floor(chance() * pages.length)];
  come({ room: 'lobby' });
  come({ room: 'lobby' });
  for (let i = 0; i < 12; i++) {
    const page = some();
    const what = chance();
    if (what < 0.25 && pages.length < 5) come({ room: 'lobby' });
    else if (what < 0.45) page?.sockets.at(-1)?.breaks(1006);
    else if (what < 0.5) hub.restart();
    else if (what < 0.65) for (const one of page?.others ?? []) one.addTrack(new FakeTrack('video'));
    else if (what < 0.8 && page?.link !== undefined && !page.link.isOut) {
      // Loaded again: everything of it stops, and nobody is told.
      pages.splice(pages.indexOf(page), 1);
      const { seat } = page.link;
      for (const socket of page.sockets) socket.close();
      page.signal.close();
      come(seat);
    } else if (what < 0.85 && page?.link !== undefined && pages.length > 2) {
      pages.splice(pages.indexOf(page), 1);
      void page.link.leave().catch(() => {});
    } else if (what < 0.9 && page?.mesh !== undefined) {
      page.mesh.close();
      page.mesh = undefined;
      const { link } = page;
      if (link !== undefined && !link.isOut) page.mesh = new Mesh(link, page.wiring, undefined, {});
    }
    await pass(chance() < 0.5 ? chance() * 200 : chance() * 5000);
  }
  await pass(240_000);
  const problem = unconnected(pages.filter(({ link }) => link?.isOut === false)) ?? (FakeConnection.all.some(({ firstTakenBack }) => firstTakenBack) ? 'a first offer was taken back' : undefined);
  for (const page of pages) page.signal.close();
  return problem;
}

/** unconnected says which two are not connected with each other, if any are not. */
function unconnected(pages: readonly Page[]): string | undefined {
  if (pages.length < 2) return 'nobody is left';
  for (const one of pages) {
    for (const other of pages) {
      if (one === other) continue;
      const [id, name] = [one.link?.participant ?? 'nobody', other.link?.participant ?? 'nobody'];
      const [there, back] = [one.peer(name), other.peer(id)];
      if (there === undefined || back === undefined) return `${id} has ${there === undefined ? 'no' : 'a'} connection to ${name}, of ${one.mesh?.participants}`;
      if (!agree(there, back)) return `${id} (${there.signalingState}) and ${name} (${back.signalingState}) do not agree`;
      if (there.connectionState !== 'connected') return `${id} is ${there.connectionState} to ${name}`;
    }
    if (one.others.length !== pages.length - 1) return `${one.link?.participant} has ${one.others.length} connections`;
  }
  return undefined;
}

test('whatever happens in a meeting, in the end each is connected with each', async () => {
  const seeds = Number(process.env['SEEDS'] ?? 40);
  const first = Number(process.env['SEED'] ?? 1);
  for (let seed = first; seed < first + seeds; seed++) assert.equal(await meeting(seed), undefined, `with the seed ${seed}`);
});
