import { useSyncExternalStore } from 'react';

/** The pages of the app; web.go serves the same paths. */
export type Route =
  | { readonly page: 'home' }
  | { readonly page: 'join' }
  | { readonly page: 'room'; readonly room: string }
  | { readonly page: 'signed-in' }
  | { readonly page: 'nowhere' };

/** decoded is a part of an address as it is meant; what is not well-formed names nothing that there is. */
export function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** routeOf is what a path leads to. */
export function routeOf(path: string): Route {
  const [first, second, ...more] = path.split('/').filter(Boolean);
  if (first === undefined) return { page: 'home' };
  if (first === 'room' && second !== undefined && more.length === 0) return { page: 'room', room: decoded(second) };
  if ((first === 'join' || first === 'signed-in') && second === undefined) return { page: first };
  return { page: 'nowhere' };
}

const listeners = new Set<() => void>();
let current = routeOf(location.pathname);

function changed(): void {
  current = routeOf(location.pathname);
  for (const listener of listeners) listener();
}

addEventListener('popstate', changed);

/** go shows another page. */
export function go(path: string, options: { readonly replace?: boolean } = {}): void {
  if (options.replace) history.replaceState(null, '', path);
  else history.pushState(null, '', path);
  changed();
}

export function useRoute(): Route {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => current,
  );
}
