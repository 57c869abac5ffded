// Ways to sign in. An app with an issuer of its own gives a function that
// returns its access token; these are for where there is none.
import { environment, type Environment } from './environment.js';
import { Http, type SignIn } from './http.js';
import { UsherError } from './error.js';
import type { Redeemed } from './types.js';

/** devSignIn signs in as anybody, at a server in development mode. */
export function devSignIn(url: string, who: { readonly name?: string; readonly email?: string }, given: Partial<Environment> = {}): SignIn {
  const env = environment(given);
  const ask = async (): Promise<string> => {
    const body = JSON.stringify(who);
    let response: Response;
    try {
      response = await env.fetch(`${base(url)}/dev/login`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
    } catch (cause) {
      throw new UsherError('unreachable', "The server can't be reached.", { cause });
    }
    if (!response.ok) {
      throw new UsherError('sign_in_refused', `The server does not sign in by name: it answered ${response.status}.`, {
        status: response.status,
        final: response.status >= 400 && response.status < 500,
      });
    }
    return ((await response.json()) as { readonly token: string }).token;
  };
  let token: Promise<string> | undefined;
  return ({ fresh }) => {
    if (fresh || token === undefined) {
      const asked = ask();
      token = asked;
      asked.catch(() => {
        if (token === asked) token = undefined; // the next call tries again
      });
    }
    return token;
  };
}

/** redeem makes a guest of whoever has the code of an invite; `() => redeemed.token` signs the guest in. */
export function redeem(url: string, code: string, name: string, given: Partial<Environment> = {}): Promise<Redeemed> {
  const http = new Http(environment(given), base(url), () => '');
  return http.json({ method: 'POST', path: ['invites', 'redeem'], body: { code, name }, anonymous: true });
}

/** base is a server's address without a slash at its end. */
export function base(url: string): string {
  return url.replace(/\/+$/, '');
}
