import { useSyncExternalStore } from 'react';

/** The pages of the app; web.go serves the same paths. */
export type Route = { readonly page: 'home' } | { readonly page: 'join' } | { readonly page: 'room'; readonly room: string } | { readonly page: 'signed-in' };

/** decoded is a part of an address as it is meant; what is not well-formed names nothing that there is. */
export function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function parse(path: string): Route {
  const [first, second] = path.split('/').filter(Boolean);
  if (first === 'room' && second !== undefined) return { page: 'room', room: decoded(second) };
  if (first === 'join' || first === 'signed-in') return { page: first };
  return { page: 'home' };
}

const listeners = new Set<() => void>();
let current = parse(location.pathname);

function changed(): void {
  current = parse(location.pathname);
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
