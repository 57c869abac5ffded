import { UsherError, type Call, type CallMedia, type Client, type Quality, type RemoteTrack, type SavedCall } from '@usher/client';
import { tab } from '../kept.ts';
import type { Devices } from '../media/devices.ts';
import { sends, type Sends } from '../media/sends.ts';
import type { Person } from '../session.ts';
import { Store } from '../store.ts';

/** The call that one is in. */
export interface Conversation {
  readonly peer: Person;
  readonly outgoing: boolean;
  /** rings: the other side has said that it does. */
  readonly phase: 'calling' | 'rings' | 'connecting' | 'talking' | 'reconnecting';
  /** Since when one talks, in milliseconds since 1970. */
  readonly since?: number | undefined;
  readonly camera?: MediaStream | undefined;
  readonly screen?: MediaStream | undefined;
  readonly theirs: Sends;
  readonly quality?: Quality | undefined;
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
  readonly saved: SavedCall;
  readonly peer: Person;
  readonly since?: number | undefined;
}

/** The telephone of whoever is signed in: one call at a time, and those that ring. */
export class Phone extends Store<PhoneState> {
  readonly #client: Client;
  readonly #devices: Devices;
  readonly #person: (id: string) => Person | undefined;
  #call: Call | undefined;
  #media: CallMedia | undefined;
  #told = ''; // of what is sent
  #turn = 0; // tells apart one conversation from the next

  constructor(client: Client, devices: Devices, person: (id: string) => Person | undefined) {
    super({ ringing: [] });
    this.#client = client;
    this.#devices = devices;
    this.#person = person;
    client.calls.on('incoming', (call) => this.#incoming(call));
    // What rang before there was a telephone rings now.
    for (const call of client.calls.list()) if (!call.outgoing && call.state === 'ringing') this.#incoming(call);
    client.signal.on('message', (message) => {
      if (message.action !== 'media.state' || message.callId !== this.#call?.id) return;
      this.#change({ theirs: sends(message.payload) });
      if ((message.payload as { readonly back?: unknown } | null)?.back === true) this.#tell({ again: true });
    });
    devices.subscribe(() => this.#tell());
    addEventListener('pagehide', () => this.#keep());
  }

  /** resume goes on with the call that this page was in before it was loaded again. */
  async resume(): Promise<void> {
    const kept = tab.read<Kept>('call');
    if (kept === undefined) return;
    const turn = this.#begin(kept.peer, kept.saved.outgoing, 'reconnecting', kept.since);
    let call: Call;
    try {
      [call] = await Promise.all([this.#client.calls.goOn(kept.saved), this.#devices.open('call')]);
    } catch (thrown) {
      if (turn === this.#turn) this.#end(reasonOf(thrown));
      return;
    }
    if (turn !== this.#turn) return void call.hangup().catch(() => {});
    if (call.state !== 'accepted') this.#change({ phase: 'calling' });
    this.#have(call);
  }

  /** call rings at somebody's devices. */
  async call(peer: Person): Promise<void> {
    if (this.state.current !== undefined) return;
    const turn = this.#begin(peer, true, 'calling');
    await this.#devices.open('call');
    if (turn !== this.#turn) return; // it was cancelled meanwhile
    try {
      const call = await this.#client.calls.call(peer.id);
      if (turn === this.#turn) this.#have(call);
      else await call.hangup().catch(() => {});
    } catch (thrown) {
      if (turn === this.#turn) this.#end(reasonOf(thrown));
    }
  }

  /** accept takes a call that rings. */
  async accept({ call, peer }: Ringing): Promise<void> {
    if (this.state.current !== undefined) await this.hangUp();
    const turn = this.#begin(peer, false, 'connecting');
    this.#call = call; // whatever ends it now ends the conversation
    call.on('ended', ({ reason, elsewhere }) => {
      if (turn === this.#turn) this.#end(elsewhere ? 'taken' : reason);
    });
    await this.#devices.open('call');
    if (turn !== this.#turn) return;
    this.#have(call);
    await call.accept().catch((thrown: unknown) => {
      if (turn === this.#turn) this.#end(reasonOf(thrown));
    });
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

  #incoming(call: Call): void {
    const known = this.#person(call.peer);
    const peer = { id: call.peer, name: known?.name ?? call.name ?? call.email ?? '', email: known?.email ?? call.email };
    this.set({ ending: undefined, ringing: [...this.state.ringing, { call, peer, stranger: call.stranger }] });
    call.ring().catch(() => {}); // that it rings is a courtesy
    const gone = (): void => this.set({ ringing: this.state.ringing.filter((other) => other.call !== call) });
    call.on('accepted', gone);
    call.on('ended', ({ reason, elsewhere }) => {
      gone();
      if (this.#call === call || this.state.current !== undefined || (reason === 'rejected' && !elsewhere)) return;
      this.set({ ending: { peer, reason: elsewhere ? 'taken' : reason, outgoing: false } });
    });
  }

  #begin(peer: Person, outgoing: boolean, phase: Conversation['phase'], since?: number): number {
    this.set({ ending: undefined, current: { peer, outgoing, phase, since, theirs: { audio: true, video: true } } });
    return ++this.#turn;
  }

  /** have is for when there is a call of the conversation. */
  #have(call: Call): void {
    const turn = this.#turn;
    const now = (): boolean => turn === this.#turn;
    // Who is busy is so at once, before there is anybody to listen; and so it can ring there.
    if (call.state === 'ended') return this.#end(call.reason ?? 'unknown_error');
    this.#call = call;
    const rings = (): void => {
      if (now() && this.state.current?.phase === 'calling') this.#change({ phase: 'rings' });
    };
    const accepted = (): void => {
      if (now() && this.state.current?.since === undefined) this.#change({ phase: 'connecting' });
    };
    call.on('ringing', rings);
    call.on('accepted', accepted);
    if (call.rang) rings();
    if (call.state === 'accepted' && call.outgoing) accepted();
    call.on('rejoined', () => {
      if (now()) this.#tell({ back: true }); // what was said meanwhile was not heard
    });
    call.on('ended', ({ reason, elsewhere }) => {
      if (now()) this.#end(elsewhere ? 'taken' : reason);
    });
    this.#connect(call, now).catch((thrown: unknown) => {
      if (now()) this.#end(reasonOf(thrown)); // and if it was over before, that was seen to above
    });
  }

  async #connect(call: Call, now: () => boolean): Promise<void> {
    const local = await this.#devices.open('call');
    const media = await this.#client.media(call, local);
    if (!now()) return;
    this.#media = media;
    this.#told = '';
    this.#keep();
    const show = (): void => {
      if (now()) this.#change(shown(media.tracks));
    };
    media.on('track', show);
    media.on('trackgone', show);
    media.on('renewed', () => {
      this.#told = ''; // the page over there is a new one
      show();
    });
    media.on('connected', () => {
      if (!now()) return;
      this.#change({ phase: 'talking', since: this.state.current?.since ?? Date.now() });
      this.#keep();
      this.#tell();
    });
    const lost = (): void => {
      if (now() && this.state.current?.since !== undefined) this.#change({ phase: 'reconnecting', quality: undefined });
    };
    media.on('restarting', lost);
    media.on('state', (state) => {
      if (state === 'disconnected' || state === 'failed') lost();
    });
    media.on('quality', (quality) => {
      if (now()) this.#change({ quality });
    });
  }

  /** keep remembers the call, for when the page is loaded again. */
  #keep(): void {
    const { current } = this.state;
    const saved = this.#call?.saved;
    tab.write('call', current === undefined || saved === undefined ? undefined : ({ saved, peer: current.peer, since: current.since } satisfies Kept));
  }

  /** tell lets the other side show whether one is muted, when it changes. Who is back asks it to tell the same. */
  #tell({ back = false, again = back }: { readonly back?: boolean; readonly again?: boolean } = {}): void {
    const { on, has } = this.#devices.state;
    const state = { audio: on.audio && has.audio, video: on.video && has.video } satisfies Sends;
    const text = JSON.stringify(state);
    if (this.#call?.state !== 'accepted' || this.#media === undefined || (text === this.#told && !again)) return;
    this.#told = text;
    this.#call.send('media.state', back ? { ...state, back } : state);
  }

  #end(reason: string, mine = false): void {
    const { current } = this.state;
    if (current === undefined) return;
    this.#turn++;
    this.#call = undefined;
    this.#media = undefined;
    tab.write('call', undefined);
    this.#devices.close('call');
    const lasted = current.since === undefined ? undefined : (Date.now() - current.since) / 1000;
    const quiet = mine && lasted === undefined; // who cancels knows
    this.set({ current: undefined, ending: quiet ? undefined : { peer: current.peer, reason, lasted, outgoing: current.outgoing } });
  }

  #change(change: Partial<Conversation>): void {
    const { current } = this.state;
    if (current !== undefined) this.set({ current: { ...current, ...change } });
  }
}

/** shown are the streams of what the other side sends: with other tracks, other streams. */
export function shown(tracks: readonly RemoteTrack[]): { readonly camera: MediaStream | undefined; readonly screen: MediaStream | undefined } {
  const of = (kind: RemoteTrack['kind']): MediaStream | undefined => {
    const these = tracks.filter((one) => one.kind === kind).map(({ track }) => track);
    return these.length === 0 ? undefined : new MediaStream(these);
  };
  const screen = of('screen');
  return { camera: of('camera'), screen: screen?.getVideoTracks().length ? screen : undefined };
}

function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof UsherError)) return 'unknown_error';
  return thrown.code === 'call_taken' ? 'taken' : (thrown.reason ?? thrown.code);
}
