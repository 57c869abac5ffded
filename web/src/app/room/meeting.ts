import { all, UsherError, type Client, type Mesh, type Present, type Quality, type RoomLink, type Entry } from '@usher/client';
import { shown } from '../call/phone.ts';
import { tab } from '../kept.ts';
import type { Devices } from '../media/devices.ts';
import { sends, type Sends } from '../media/sends.ts';
import { Store } from '../store.ts';

/** Somebody else in the room. */
export interface Attendee extends Present {
  readonly camera?: MediaStream | undefined;
  readonly screen?: MediaStream | undefined;
  readonly sends: Sends;
  readonly quality?: Quality | undefined;
  /** Whether their media comes: failed is tried again. */
  readonly link: 'connecting' | 'connected' | 'failed';
}

export interface MeetingState {
  readonly phase: 'before' | 'joining' | 'in' | 'out';
  readonly others: readonly Attendee[];
  readonly me?: Present | undefined;
  /** That one may mute, remove and end. */
  readonly host: boolean;
  /** Why one is out: one of strings.room.out. */
  readonly reason?: string;
  readonly message?: string;
  readonly problem?: UsherError | undefined;
}

/** What happens in passing, for who cannot see it. */
export interface News {
  readonly joined: (name: string) => void;
  readonly left: (name: string) => void;
  readonly muted: () => void;
  readonly unlinked: (name: string) => void;
}

/** The seat that one had before the page was loaded again. */
interface Kept {
  readonly room: string;
  readonly seat: Entry;
}

/** A place in a room, with everybody's media. */
export class Meeting extends Store<MeetingState> {
  readonly #client: Client;
  readonly #devices: Devices;
  readonly #news: News;
  #link: RoomLink | undefined;
  #ends: (() => void)[] = [];
  /** #early is what is known of those whom no roster has named yet. */
  readonly #early = new Map<string, Partial<Attendee>>();
  #told = '';

  constructor(
    readonly room: string,
    client: Client,
    devices: Devices,
    news: News,
  ) {
    super({ phase: 'before', others: [], host: false });
    this.#client = client;
    this.#devices = devices;
    this.#news = news;
  }

  /** wasIn says that this page was in the room before it was loaded again. */
  get wasIn(): boolean {
    return tab.read<Kept>('seat')?.room === this.room;
  }

  async join(): Promise<void> {
    if (this.state.phase === 'joining' || this.state.phase === 'in') return;
    this.set({ phase: 'joining', problem: undefined });
    try {
      const local = await this.#devices.open('room');
      const link = await this.#enter();
      if (this.#isOut()) return void link.leave().catch(() => {}); // one has left while one came in
      this.#link = link;
      this.#watch(link);
      const mesh = await this.#client.mesh(link, local);
      this.#listen(mesh);
      this.set({ phase: 'in' });
      this.#roster(link.roster);
    } catch (thrown) {
      tab.write('seat', undefined);
      if (this.#isOut()) return;
      const problem = thrown instanceof UsherError ? thrown : new UsherError('unreachable', String(thrown));
      this.set({ phase: 'before', problem });
    }
  }

  /** enter takes the seat that this page had, or a new one. */
  async #enter(): Promise<RoomLink> {
    const kept = tab.read<Kept>('seat');
    if (kept?.room === this.room) {
      try {
        return await this.#client.rooms.join(kept.seat);
      } catch {
        tab.write('seat', undefined); // it was given away
      }
    }
    return this.#client.rooms.join({ room: this.room });
  }

  async leave(): Promise<void> {
    const link = this.#link;
    this.#out('left', '');
    await link?.leave().catch(() => {}); // one is out in any case
  }

  askToMute(participant: string): Promise<void> {
    return this.#link?.askToMute(participant, 'audio') ?? Promise.resolve();
  }

  /** remove puts somebody out for good: the links that they may have come by are good no more. */
  async remove(participant: string, reason: string): Promise<void> {
    const { api } = this.#client;
    tab.write(`invite.${this.room}`, undefined);
    for (const invite of await all('invites', (page) => api.invites(this.room, page))) {
      if (invite.revoked_at === undefined) await api.revokeInvite(this.room, invite.id);
    }
    await api.ban(this.room, { participant, reason });
  }

  async end(reason: string): Promise<void> {
    await this.#client.api.endRoom(this.room, reason);
  }

  /** invitation is a link that lets guests in; its code is in the part that browsers send to nobody. */
  async invitation(): Promise<string> {
    const key = `invite.${this.room}`;
    const code = tab.read<string>(key) ?? (await this.#client.api.createInvite(this.room)).code;
    tab.write(key, code);
    return `${location.origin}/join#${code}`;
  }

  #watch(link: RoomLink): void {
    const keep = (): void => tab.write('seat', { room: this.room, seat: link.seat } satisfies Kept);
    keep();
    this.#ends.push(
      link.on('roster', (roster) => this.#roster(roster)),
      link.on('rejoined', () => {
        keep();
        this.#tell(undefined, true); // what was said meanwhile was not heard
      }),
      link.on('rights', () => this.#roster(link.roster)),
      link.on('message', ({ participant, payload }) => {
        const media = (payload as { readonly media?: unknown } | null)?.media;
        if (media !== undefined) this.#change(participant, { sends: sends(media) });
        if ((payload as { readonly back?: unknown } | null)?.back === true) this.#tell(participant);
      }),
      link.on('mute', () => {
        this.#devices.turn('audio', false);
        this.#news.muted();
      }),
      link.on('left', ({ reason, message }) => this.#out(reason, message)),
      this.#devices.subscribe(() => this.#tell()),
    );
  }

  #listen(mesh: Mesh): void {
    const show = ({ participant }: { readonly participant: string }): void => this.#change(participant, shown(mesh.tracks(participant)));
    this.#ends.push(
      mesh.on('track', show),
      mesh.on('trackgone', show),
      mesh.on('gone', show),
      mesh.on('renewed', (renewed) => {
        show(renewed);
        this.#tell(renewed.participant);
      }),
      mesh.on('connected', ({ participant }) => {
        this.#change(participant, { link: 'connected' });
        this.#tell(participant);
      }),
      mesh.on('restarting', ({ participant }) => this.#change(participant, { link: 'connecting' })),
      mesh.on('quality', ({ participant, quality }) => this.#change(participant, { quality })),
      mesh.on('failed', ({ participant }) => {
        const { others } = this.state;
        this.#news.unlinked(others.find(({ id }) => id === participant)?.name ?? '');
        this.#change(participant, { link: 'failed' });
      }),
      () => mesh.close(),
    );
  }

  #roster(roster: readonly Present[]): void {
    const link = this.#link;
    if (link === undefined || this.state.phase === 'out') return;
    const before = new Map(this.state.others.map((one) => [one.id, one]));
    const others = roster
      .filter(({ id }) => id !== link.participant)
      .map((one): Attendee => ({ sends: { audio: true, video: true }, link: 'connecting', ...this.#early.get(one.id), ...before.get(one.id), ...one }));
    for (const { id } of others) this.#early.delete(id);
    if (this.state.phase === 'in') {
      for (const { id, name } of others) if (!before.has(id)) this.#news.joined(name);
      for (const { id, name } of before.values()) if (!others.some((one) => one.id === id)) this.#news.left(name);
    }
    this.set({ others, me: roster.find(({ id }) => id === link.participant), host: link.permissions.includes('moderate') });
  }

  #change(participant: string, change: Partial<Attendee>): void {
    if (!this.state.others.some(({ id }) => id === participant)) {
      this.#early.set(participant, { ...this.#early.get(participant), ...change });
    }
    this.set({ others: this.state.others.map((one) => (one.id === participant ? { ...one, ...change } : one)) });
  }

  /**
   * tell lets the others show whether one is muted: all of them when it changes, or one who is new.
   * Who is back asks them to tell the same.
   */
  #tell(to?: string, back = false): void {
    const { on, has } = this.#devices.state;
    const media = { audio: on.audio && has.audio, video: on.video && has.video } satisfies Sends;
    const text = JSON.stringify(media);
    if (this.#link === undefined || (to === undefined && !back && text === this.#told)) return;
    if (to === undefined) this.#told = text;
    this.#link.say(back ? { media, back } : { media }, to).catch(() => {}); // they may have left
  }

  #isOut(): boolean {
    return this.state.phase === 'out';
  }

  #out(reason: string, message: string): void {
    if (this.state.phase === 'out') return;
    for (const end of this.#ends.splice(0)) end();
    this.#link = undefined;
    tab.write('seat', undefined);
    this.#devices.close('room');
    this.set({ phase: 'out', reason, message, others: [] });
  }
}
