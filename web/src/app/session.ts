import { Client, devSignIn, redeem, UsherError, type SignalState, type SignIn } from '@usher/client';
import { tab } from './kept.ts';
import { Store } from './store.ts';

/** Somebody, as the page shows them. */
export interface Person {
  /** What signaling calls them. */
  readonly id: string;
  readonly name: string;
  readonly email?: string | undefined;
}

/** How people sign in here: GET /api/v1/web/config. */
export interface WebConfig {
  readonly sign_in: 'name' | 'issuer' | 'none';
  readonly issuer?: string;
  readonly client_id?: string;
  readonly token?: 'id' | 'access';
  /** That there are ICE servers to ask for. */
  readonly relays?: boolean;
}

/** Who has signed in in this tab. */
type Saved =
  | { readonly how: 'name'; readonly name: string }
  | { readonly how: 'issuer' }
  | { readonly how: 'guest'; readonly token: string; readonly name: string; readonly room: string };

export interface Signed {
  readonly client: Client;
  readonly me: Person;
  /** What is one's own is owned by this key. */
  readonly owner: string;
  /** The one room that a guest was let into. */
  readonly guestOf?: string | undefined;
  readonly operator: boolean;
}

export interface SessionState {
  readonly phase: 'starting' | 'out' | 'in';
  readonly config?: WebConfig;
  readonly signed?: Signed | undefined;
  readonly connection: SignalState;
  /** Why one is out, or could not come in. */
  readonly problem?: UsherError | undefined;
}

const url = location.origin;

/** address is by which somebody who has said a name, or an address, is found in development mode. */
export function address(nameOrAddress: string): string {
  const text = nameOrAddress.trim();
  if (text.includes('@')) return text;
  const letters = [...text.toLowerCase()].map((letter) => (/[a-z0-9]/.test(letter) ? letter : `-${letter.codePointAt(0)?.toString(16)}`));
  return `${letters.join('').slice(0, 60)}@example.org`;
}

/** Who is signed in in this tab, and the client of their own. */
export class Session extends Store<SessionState> {
  readonly #onOut: () => void;
  #started = false;

  /** onOut is called when who was signed in is not any more, and forgets what was read for them. */
  constructor(onOut: () => void) {
    super({ phase: 'starting', connection: 'closed' });
    this.#onOut = onOut;
  }

  /** start finds out how people sign in, and signs in again who was signed in before a reload. */
  async start(): Promise<void> {
    if (this.#started) return;
    this.#started = true;
    try {
      const response = await fetch(`${url}/api/v1/web/config`);
      if (!response.ok) throw new UsherError('unavailable', `The server answered ${response.status}.`);
      const config = (await response.json()) as WebConfig;
      this.set({ config });
      const saved = tab.read<Saved>('signed-in');
      if (location.pathname === '/signed-in') await this.#returned(config);
      else if (saved === undefined) this.set({ phase: 'out' });
      else await this.#enter(saved);
    } catch (thrown) {
      this.#failed(thrown);
    }
  }

  /** byName signs in as anybody, at a server in development mode. */
  byName(name: string): Promise<void> {
    return this.#enter({ how: 'name', name: name.trim() });
  }

  /** atIssuer leaves for the issuer, which sends the browser back to /signed-in. */
  async atIssuer(): Promise<void> {
    try {
      const { leave } = await import('./issuer.ts');
      await leave(this.state.config ?? { sign_in: 'none' }, location.pathname);
    } catch (thrown) {
      this.#failed(thrown);
    }
  }

  /** asGuest comes in by the code of an invite, and returns the room. */
  async asGuest(code: string, name: string): Promise<string> {
    const { token, guest } = await redeem(url, code, name.trim());
    this.#close();
    await this.#enter({ how: 'guest', token, name: guest.name, room: guest.room });
    const { problem } = this.state;
    if (problem !== undefined) throw problem;
    return guest.room;
  }

  /** out signs out. */
  async out(): Promise<void> {
    const saved = tab.read<Saved>('signed-in');
    this.#close();
    tab.forget(); // the place in a room and the codes of invites are theirs, too
    if (saved?.how === 'issuer') {
      const { forget } = await import('./issuer.ts');
      await forget(this.state.config ?? { sign_in: 'none' });
    }
  }

  async #returned(config: WebConfig): Promise<void> {
    const { arrive } = await import('./issuer.ts');
    const path = await arrive(config).catch((thrown: unknown) => {
      this.#moved('/'); // what the issuer sent is good once, and a reload is not to try it again
      throw new UsherError('sign_in_failed', String(thrown), { cause: thrown });
    });
    if (path === '/console' || path.startsWith('/console/')) {
      tab.write('signed-in', { how: 'issuer' });
      location.replace(path); // the console is another page
      return;
    }
    this.#moved(path);
    await this.#enter({ how: 'issuer' });
  }

  #moved(path: string): void {
    history.replaceState(null, '', path);
    dispatchEvent(new PopStateEvent('popstate'));
  }

  async #signIn(saved: Saved): Promise<SignIn> {
    switch (saved.how) {
      case 'name':
        return devSignIn(url, { name: saved.name, email: address(saved.name) });
      case 'guest':
        return ({ fresh }) => {
          if (fresh) throw new UsherError('expired', 'The invitation has expired.', { final: true });
          return saved.token;
        };
      case 'issuer': {
        const { signIn } = await import('./issuer.ts');
        return signIn(this.state.config ?? { sign_in: 'none' });
      }
    }
  }

  async #enter(saved: Saved): Promise<void> {
    try {
      const client = new Client({ url, signIn: await this.#signIn(saved) });
      if (this.state.config?.relays === false) client.ice.stop(); // there are none to ask for
      client.signal.on('state', (connection) => this.set({ connection }));
      const hello = await client.connect();
      const guestOf = saved.how === 'guest' ? saved.room : undefined;
      const [user, mine] = await Promise.all([guestOf === undefined ? client.api.user() : undefined, client.api.me()]);
      const me = { id: hello.userId, name: user?.name ?? hello.name ?? mine.name ?? '', email: user?.email };
      client.signal.on('stopped', (error) => this.#stopped(error));
      tab.write('signed-in', saved);
      this.set({ phase: 'in', problem: undefined, signed: { client, me, owner: mine.key, guestOf, operator: mine.operator } });
    } catch (thrown) {
      this.#failed(thrown);
    }
  }

  #stopped(error: UsherError): void {
    if (error.code === 'closed') return; // on purpose
    this.#failed(error);
  }

  #failed(thrown: unknown): void {
    const problem = thrown instanceof UsherError ? thrown : new UsherError('unreachable', String(thrown), { cause: thrown });
    if (problem.final) tab.write('signed-in', undefined);
    this.#close(problem);
  }

  #close(problem?: UsherError): void {
    this.state.signed?.client.close();
    this.set({ phase: 'out', signed: undefined, problem, connection: 'closed' });
    this.#onOut();
  }
}
