import { useSyncExternalStore } from 'react';
import { decoded } from '../app/route.ts';

export const pages = ['overview', 'rooms', 'clients', 'decisions', 'inspector', 'configuration', 'health'] as const;
export type PageName = (typeof pages)[number];

/** The pages that have one of their own for each item. */
const withItems: readonly PageName[] = ['rooms', 'decisions'];

/** Where in the console one is; web.go serves the same paths. */
export interface Route {
  readonly page: PageName | 'nowhere';
  readonly item?: string | undefined;
  readonly query: URLSearchParams;
}

/** path is the address of a page, of one of its items, or of a search in it. */
export function path(page: PageName, item?: string, query: Readonly<Record<string, string>> = {}): string {
  const search = new URLSearchParams(query).toString();
  const base = page === 'overview' ? '/console' : `/console/${page}`;
  return base + (item === undefined ? '' : `/${encodeURIComponent(item)}`) + (search === '' ? '' : `?${search}`);
}

function parse(): Route {
  const [, name = 'overview', item, ...more] = location.pathname.split('/').filter(Boolean);
  const page = pages.find((one) => one === name);
  const query = new URLSearchParams(location.search);
  if (page === undefined || more.length > 0 || (item !== undefined && !withItems.includes(page))) return { page: 'nowhere', query };
  return { page, item: item === undefined ? undefined : decoded(item), query };
}

const listeners = new Set<() => void>();
let current = parse();

function changed(): void {
  current = parse();
  for (const listener of listeners) listener();
}

addEventListener('popstate', changed);

/** go shows another page. */
export function go(to: string, options: { readonly replace?: boolean } = {}): void {
  if (options.replace) history.replaceState(null, '', to);
  else history.pushState(null, '', to);
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
