import { Client, devSignIn, Operator, UsherError, type SignIn } from '@usher/client';
import { tab } from '../app/kept.ts';
import { address, type WebConfig } from '../app/session.ts';

export type { WebConfig };

/** Who has signed in in this tab, as the page to call from keeps it. */
type Saved = { readonly how: 'name'; readonly name: string } | { readonly how: 'issuer' } | { readonly how: 'guest' };

/** Who is signed in. */
export interface Signed {
  readonly client: Client;
  readonly operator: Operator;
  readonly name: string;
  readonly key: string;
  readonly isOperator: boolean;
}

const place = 'signed-in';
const url = location.origin;

export async function webConfig(): Promise<WebConfig> {
  const response = await fetch(`${url}/api/v1/web/config`);
  if (!response.ok) throw new UsherError('unavailable', `The server answered ${response.status}.`);
  return (await response.json()) as WebConfig;
}

/** resume signs in again who was signed in in this tab, if somebody was. */
export async function resume(config: WebConfig): Promise<Signed | undefined> {
  const who = tab.read<Saved>(place);
  if (who === undefined || who.how === 'guest') return undefined;
  if (who.how === 'name') return config.sign_in === 'name' ? byName(who.name) : undefined;
  const { signIn } = await import('../app/issuer.ts');
  return enter(signIn(config), who);
}

/** byName signs in as anybody, at a server in development mode. */
export function byName(name: string): Promise<Signed> {
  return enter(devSignIn(url, { name, email: address(name) }), { how: 'name', name });
}

/** atIssuer leaves for the issuer, which sends the browser back. */
export async function atIssuer(config: WebConfig): Promise<void> {
  const { leave } = await import('../app/issuer.ts');
  await leave(config, location.pathname);
}

/** signOut forgets who was signed in. */
export async function signOut(config: WebConfig): Promise<void> {
  const who = tab.read<Saved>(place);
  tab.forget();
  if (who?.how === 'issuer') {
    const { forget } = await import('../app/issuer.ts');
    await forget(config);
  }
}

async function enter(signIn: SignIn, who: Saved): Promise<Signed> {
  const client = new Client({ url, signIn });
  try {
    const me = await client.api.me();
    tab.write(place, who);
    return { client, operator: new Operator(client.api.http), name: me.name ?? me.key, key: me.key, isOperator: me.operator };
  } catch (thrown) {
    if (thrown instanceof UsherError && thrown.final) tab.write(place, undefined);
    throw thrown;
  }
}
