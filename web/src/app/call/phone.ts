import { UsherError, type Call, type CallMedia, type Client } from '@usher/client';
import { tab } from '../kept.ts';
import type { Devices } from '../media/devices.ts';
import { unknownQuality, watch, type Quality } from '../media/quality.ts';
import type { Person } from '../session.ts';
import { Store } from '../store.ts';

/** Whether somebody's microphone and camera are on. */
export interface Sends {
  readonly audio: boolean;
  readonly video: boolean;
}

/** The call that one is in. */
export interface Conversation {
  readonly peer: Person;
  readonly outgoing: boolean;
  /** rings: the other side has said that it does. */
  readonly phase: 'calling' | 'rings' | 'connecting' | 'talking' | 'reconnecting';
  /** Since when one talks, in milliseconds as of performance.now. */
  readonly since?: number;
  readonly camera?: MediaStream;
  readonly screen?: MediaStream | undefined;
  readonly theirs: Sends;
  readonly quality: Quality;
}

/** How a call has ended. */
export interface Ending {
  readonly peer: Person;
  readonly reason: string;
  /** In seconds, of a call in which one talked. */
  readonly lasted?: number | undefined;
  readonly outgoing: boolean;
}

export interface Ringing {
  readonly call: Call;
  readonly peer: Person;
  readonly stranger: boolean;
}

export interface PhoneState {
  readonly ringing: readonly Ringing[];
  readonly current?: Conversation | undefined;
  readonly ending?: Ending | undefined;
}

/** What is remembered of a call over a reload of the page. */
interface Kept {
  readonly peer: Person;
  readonly at: number;
}

/** Times in milliseconds: how long a call waits for a page that is being loaded again, and how fresh its own memory has to be. */
const times = { resume: 20_000, kept: 30_000, again: 500, beat: 2000 } as const;

/** The telephone of whoever is signed in: one call at a time, and those that ring. */
export class Phone extends Store<PhoneState> {
  readonly #client: Client;
  readonly #devices: Devices;
  readonly #person: (id: string) => Person | undefined;
  #call: Call | undefined;
  #media: CallMedia | undefined;
  #ends: (() => void)[] = [];
  #told = ''; // of what is sent
  #waiting: ReturnType<typeof setTimeout> | undefined; // for the other's page to be back

  constructor(client: Client, devices: Devices, person: (id: string) => Person | undefined) {
    super({ ringing: [] });
    this.#client = client;
    this.#devices = devices;
    this.#person = person;
    client.calls.on('incoming', (call) => this.#incoming(call));
    client.signal.on('message', (message) => {
      if (message.action === 'media.state' && message.callId === this.#call?.id) this.#change({ theirs: message.payload as Sends });
    });
    devices.subscribe(() => this.#tellState());
  }

  /** resume goes on with the call that this page was in before it was loaded again. */
  resume(): void {
    const kept = tab.read<Kept>('call');
    tab.write('call', undefined);
    if (kept !== undefined && Date.now() - kept.at < times.kept) void this.#dial(kept.peer, 'reconnecting');
  }

  /** call rings at somebody's devices. */
  call(peer: Person): Promise<void> {
    return this.#dial(peer, 'calling');
  }

  async #dial(peer: Person, phase: 'calling' | 'reconnecting'): Promise<void> {
    if (this.state.current !== undefined) return;
    this.#begin(peer, true, phase);
    await this.#devices.open();
    const until = Date.now() + (phase === 'reconnecting' ? times.resume : 0);
    while (this.#isWith(peer)) { // it may be cancelled meanwhile
      try {
        this.#have(await this.#client.calls.call(peer.id));
        return;
      } catch (thrown) {
        const reason = thrown instanceof UsherError ? thrown.code : 'unknown_error';
        // The server may not have noticed yet that the page before is gone.
        if (reason !== 'call_exists' || Date.now() > until) return this.#end(reason);
        await new Promise((resolve) => setTimeout(resolve, times.again));
      }
    }
  }

  /** accept takes a call that rings. */
  async accept({ call, peer }: Ringing): Promise<void> {
    if (this.state.current !== undefined) await this.hangUp();
    this.#begin(peer, false, 'connecting');
    await this.#devices.open();
    await this.#take(call);
  }

  async decline({ call }: Ringing): Promise<void> {
    await call.reject().catch(() => {}); // over in any case
  }

  async hangUp(): Promise<void> {
    const call = this.#call;
    this.#end('user_hangup', true);
    await call?.hangup().catch(() => {}); // over in any case
  }

  /** dismiss puts away how the last call has ended. */
  dismiss(): void {
    this.set({ ending: undefined });
  }

  /** close is for signing out. */
  close(): void {
    void this.hangUp();
  }

  #incoming(call: Call): void {
    const known = this.#person(call.peer);
    const peer = { id: call.peer, name: known?.name ?? call.name ?? call.email ?? '', email: known?.email ?? call.email };
    const ringing = { call, peer, stranger: call.stranger };
    // Whoever one talks to has started the call anew, as a page does that was loaded again.
    if (this.#waiting !== undefined && this.state.current?.peer.id === peer.id) {
      clearTimeout(this.#waiting);
      this.#waiting = undefined;
      void this.#take(call);
      return;
    }
    this.set({ ringing: [...this.state.ringing, ringing] });
    call.ring().catch(() => {}); // that it rings is a courtesy
    const gone = (): void => this.set({ ringing: this.state.ringing.filter((other) => other.call !== call) });
    call.on('accepted', gone);
    call.on('ended', ({ reason, elsewhere }) => {
      gone();
      if (this.#call === call || reason === 'rejected') return;
      if (this.state.current === undefined) this.set({ ending: { peer, reason: elsewhere && reason !== 'taken' ? 'elsewhere' : reason, outgoing: false } });
    });
  }

  async #take(call: Call): Promise<void> {
    this.#have(call);
    try {
      await call.accept();
    } catch (thrown) {
      if (this.#call === call) this.#end(thrown instanceof UsherError && thrown.code !== 'call_taken' ? thrown.code : 'taken');
    }
  }

  #begin(peer: Person, outgoing: boolean, phase: Conversation['phase']): void {
    this.set({ ending: undefined, current: { peer, outgoing, phase, theirs: { audio: true, video: true }, quality: unknownQuality } });
    const keep = (): void => {
      if (this.state.current?.since !== undefined) tab.write('call', { peer, at: Date.now() } satisfies Kept);
    };
    const timer = setInterval(keep, times.beat);
    addEventListener('pagehide', keep);
    this.#ends.push(() => {
      clearInterval(timer);
      removeEventListener('pagehide', keep);
      tab.write('call', undefined);
    });
  }

  /** have is for when there is a call of the conversation. */
  #have(call: Call): void {
    this.#call = call;
    call.on('ringing', () => {
      if (this.#call === call && this.state.current?.phase === 'calling') this.#change({ phase: 'rings' });
    });
    call.on('accepted', () => {
      if (this.#call === call && this.state.current?.since === undefined) this.#change({ phase: 'connecting' });
    });
    call.on('ended', ({ reason, elsewhere }) => {
      if (this.#call !== call) return;
      if (reason === 'replaced') this.#await();
      else this.#end(elsewhere ? 'elsewhere' : reason);
    });
    void this.#connect(call).catch(() => {}); // the call has ended, which is seen to above
  }

  /** await keeps the conversation while the other's page is loaded again, and calls. */
  #await(): void {
    const peer = this.state.current?.peer;
    this.#call = undefined;
    this.#media = undefined;
    this.#change({ phase: 'reconnecting', screen: undefined });
    const there = this.state.ringing.find((ringing) => ringing.peer.id === peer?.id);
    if (there !== undefined) void this.#take(there.call);
    else this.#waiting = setTimeout(() => this.#end('connection_lost'), times.resume);
  }

  async #connect(call: Call): Promise<void> {
    const local = await this.#devices.open();
    const media = await this.#client.media(call, local);
    if (this.#call !== call) return;
    this.#media = media;
    this.#told = '';
    media.on('track', ({ stream, kind, track }) => {
      if (this.#media !== media) return;
      if (kind === 'camera') this.#change({ camera: new MediaStream(stream.getTracks()) });
      else if (track.kind === 'video') this.#show(media, stream);
    });
    media.on('connected', () => {
      if (this.#media !== media) return;
      this.#change({ phase: 'talking', since: this.state.current?.since ?? performance.now() });
      this.#tellState();
    });
    media.on('state', (state) => {
      if (this.#media === media && (state === 'disconnected' || state === 'failed')) this.#change({ phase: 'reconnecting' });
    });
    const stop = watch(media.peer.connection, (quality) => {
      if (this.#media === media) this.#change({ quality });
    });
    call.on('ended', stop);
    this.#ends.push(stop);
  }

  /** show shows the other's screen until it is shared no more. */
  #show(media: CallMedia, screen: MediaStream): void {
    this.#change({ screen });
    const gone = (): void => {
      if (this.#media === media && this.state.current?.screen === screen) this.#change({ screen: undefined });
    };
    screen.addEventListener('removetrack', gone);
    for (const track of screen.getVideoTracks()) track.addEventListener('mute', gone, { once: true });
  }

  /** tellState lets the other side show whether one is muted. */
  #tellState(): void {
    const { on, has } = this.#devices.state;
    const state = { audio: on.audio && has.audio, video: on.video && has.video };
    if (this.#call?.state !== 'accepted' || this.#media === undefined || JSON.stringify(state) === this.#told) return;
    this.#told = JSON.stringify(state);
    this.#call.send('media.state', state);
  }

  #end(reason: string, mine = false): void {
    const { current } = this.state;
    if (current === undefined) return;
    clearTimeout(this.#waiting);
    this.#waiting = undefined;
    this.#call = undefined;
    this.#media = undefined;
    for (const end of this.#ends.splice(0)) end();
    this.#devices.close();
    const lasted = current.since === undefined ? undefined : (performance.now() - current.since) / 1000;
    const quiet = mine && lasted === undefined; // who cancels knows
    const ending = quiet ? undefined : { peer: current.peer, reason, lasted, outgoing: current.outgoing };
    this.set({ current: undefined, ending });
  }

  #isWith(peer: Person): boolean {
    return this.state.current?.peer === peer;
  }

  #change(change: Partial<Conversation>): void {
    const { current } = this.state;
    if (current !== undefined) this.set({ current: { ...current, ...change } });
  }
}
