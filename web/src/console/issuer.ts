// Signing in at an issuer. It is loaded where it is needed only, and shares what
// it keeps with the page to call from, which the issuer sends the browser back to.
import { UsherError, type SignIn } from '@usher/client';
import { UserManager, WebStorageStateStore } from 'oidc-client-ts';
import type { WebConfig } from './session.ts';

let manager: UserManager | undefined;

function at(config: WebConfig): UserManager {
  const store = new WebStorageStateStore({ store: sessionStorage, prefix: 'usher.issuer.' });
  manager ??= new UserManager({
    authority: config.issuer ?? '',
    client_id: config.client_id ?? '',
    redirect_uri: `${location.origin}/signed-in`,
    scope: 'openid profile email',
    userStore: store,
    stateStore: store,
    automaticSilentRenew: false,
    monitorSession: false,
  });
  return manager;
}

/** leave sends the browser to the issuer; it comes back to the path. */
export async function leave(config: WebConfig, path: string): Promise<void> {
  await at(config).signinRedirect({ state: path });
}

/** tokens gives the issuer's token, and another one by the refresh token if there is one. */
export function tokens(config: WebConfig): SignIn {
  return async ({ fresh }) => {
    let user = await at(config).getUser();
    if (user !== null && (fresh || user.expired === true) && user.refresh_token !== undefined) user = await at(config).signinSilent();
    else if (fresh) user = null;
    const token = config.token === 'access' ? user?.access_token : user?.id_token;
    if (token === undefined) throw new UsherError('signed_out', 'You were signed out. Please sign in again.', { final: true });
    return token;
  };
}

export async function forget(config: WebConfig): Promise<void> {
  await at(config).removeUser();
}
