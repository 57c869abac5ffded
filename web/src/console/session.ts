import { Client, devSignIn, Operator, UsherError, type SignIn } from '@usher/client';

/** How people sign in here: GET /api/v1/web/config. */
export interface WebConfig {
  readonly sign_in: 'name' | 'issuer' | 'none';
  readonly issuer?: string;
  readonly client_id?: string;
  readonly token?: 'id' | 'access';
}

/** Who has signed in in this tab. The page to call from keeps the same. */
type Saved = { readonly how: 'name'; readonly name: string } | { readonly how: 'issuer' } | { readonly how: 'guest' };

/** Who is signed in. */
export interface Signed {
  readonly client: Client;
  readonly operator: Operator;
  readonly name: string;
  readonly key: string;
  readonly isOperator: boolean;
}

const place = 'usher.signed-in';
const url = location.origin;

function saved(): Saved | undefined {
  try {
    const text = sessionStorage.getItem(place);
    return text === null ? undefined : (JSON.parse(text) as Saved);
  } catch {
    return undefined; // storage is off, or holds something else
  }
}

function save(value: Saved | undefined): void {
  try {
    if (value === undefined) sessionStorage.removeItem(place);
    else sessionStorage.setItem(place, JSON.stringify(value));
  } catch {
    // it is asked again after a reload
  }
}

export async function webConfig(): Promise<WebConfig> {
  const response = await fetch(`${url}/api/v1/web/config`);
  if (!response.ok) throw new UsherError('unavailable', `The server answered ${response.status}.`);
  return (await response.json()) as WebConfig;
}

/** resume signs in again who was signed in in this tab, if somebody was. */
export async function resume(config: WebConfig): Promise<Signed | undefined> {
  const who = saved();
  if (who === undefined || who.how === 'guest') return undefined;
  if (who.how === 'name') return config.sign_in === 'name' ? byName(who.name) : undefined;
  const { tokens } = await import('./issuer.ts');
  return enter(tokens(config), who);
}

/** byName signs in as anybody, at a server in development mode. */
export function byName(name: string): Promise<Signed> {
  return enter(devSignIn(url, { name, email: address(name) }), { how: 'name', name });
}

/** atIssuer leaves for the issuer, which sends the browser back. */
export async function atIssuer(config: WebConfig): Promise<void> {
  const { leave } = await import('./issuer.ts');
  await leave(config, location.pathname);
}

/** signOut forgets who was signed in. */
export async function signOut(config: WebConfig): Promise<void> {
  const who = saved();
  save(undefined);
  if (who?.how === 'issuer') {
    const { forget } = await import('./issuer.ts');
    await forget(config);
  }
}

/** address is by which the page to call from makes the same person of a name. */
function address(name: string): string {
  const text = name.trim();
  return text.includes('@') ? text : `${encodeURIComponent(text.toLowerCase()).replace(/%/g, '-')}@example.org`;
}

async function enter(signIn: SignIn, who: Saved): Promise<Signed> {
  const client = new Client({ url, signIn });
  try {
    const me = await client.api.me();
    save(who);
    return { client, operator: new Operator(client.api.http), name: me.name ?? me.key, key: me.key, isOperator: me.operator };
  } catch (thrown) {
    if (thrown instanceof UsherError && thrown.final) save(undefined);
    throw thrown;
  }
}
