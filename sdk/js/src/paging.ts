// Lists come in pages, each of which names the next by a cursor.

/** Which page of a list. */
export interface PageQuery {
  /** The most that the page may have: 1 to 200, by default 50. */
  readonly limit?: number;
  /** The next_cursor of the page before. */
  readonly cursor?: string;
}

/** A page of a list, whose items are in the member of that name. */
export type Page<Name extends string, T> = { readonly [name in Name]: readonly T[] } & {
  /** Asks for the next page; empty on the last one. */
  readonly next_cursor: string;
};

/**
 * each goes through a list page by page, asking for the next when it is needed:
 *
 *     for await (const room of each('rooms', (page) => api.rooms(page))) …
 */
export async function* each<Name extends string, T>(
  name: Name,
  list: (query: PageQuery) => Promise<Page<Name, T>>,
  limit = 200,
): AsyncGenerator<T, void, undefined> {
  let cursor = '';
  for (;;) {
    const page = await list(cursor === '' ? { limit } : { limit, cursor });
    yield* page[name];
    if (page.next_cursor === '' || page.next_cursor === cursor) return;
    cursor = page.next_cursor;
  }
}

/** all is a whole list, but no more than the first most items. */
export async function all<Name extends string, T>(
  name: Name,
  list: (query: PageQuery) => Promise<Page<Name, T>>,
  most = 10_000,
): Promise<readonly T[]> {
  const items: T[] = [];
  if (most <= 0) return items;
  for await (const item of each(name, list, Math.min(most, 200))) {
    items.push(item);
    if (items.length >= most) break;
  }
  return items;
}
