import { Button, Checkbox, TextInput } from '@mantine/core';
import { useInfiniteQuery } from '@tanstack/react-query';
import type { EventPage, EventQuery, RecordedEvent } from '@usher/client';
import { useEffect, useState, type FormEvent } from 'react';
import { useSigned } from '../context.ts';
import { when } from '../format.ts';
import { useStrings } from '../i18n.tsx';
import { Answer } from '../parts/Answer.tsx';
import { Link } from '../parts/Link.tsx';
import { Outcome } from '../parts/Outcome.tsx';
import { Page } from '../parts/Page.tsx';
import { Rows } from '../parts/Rows.tsx';
import { go, path, useRoute } from '../route.ts';

const names = ['search', 'who', 'room', 'code', 'since', 'until'] as const;

/** queryOf is what is looked for, by what stands in the address. */
function queryOf(search: URLSearchParams): EventQuery {
  const query: Record<string, string | number | boolean> = { order: 'newest', limit: 50 };
  for (const name of names) {
    const value = search.get(name);
    if (value !== null && value !== '') query[name] = name === 'since' || name === 'until' ? new Date(value).toISOString() : value;
  }
  if (search.get('all') === null) query['refused'] = true;
  return query;
}

/** looks is how many empty pages are gone on from without being asked. */
const looks = 20;

/** The record: what was decided, and what happened. */
export function Decisions() {
  const s = useStrings();
  const { operator } = useSigned();
  const { query: search } = useRoute();
  const query = queryOf(search);
  const record = useInfiniteQuery({
    queryKey: ['events', query],
    queryFn: ({ pageParam }) => operator.events(pageParam === '' ? query : { ...query, cursor: pageParam }),
    initialPageParam: '',
    getNextPageParam: (page: EventPage) => (page.more ? page.next_cursor : undefined),
  });
  // The server looks at a bounded part of the record, and what is asked for may be rare.
  const pages = record.data?.pages ?? [];
  const goesOn = record.hasNextPage && !record.isFetching && !record.isError && pages.length < looks && pages.every((page) => page.events.length === 0);
  const { fetchNextPage } = record;
  useEffect(() => {
    if (goesOn) void fetchNextPage();
  }, [goesOn, fetchNextPage]);
  const what = (event: RecordedEvent): string => event.decision?.action ?? s.decisions.types[event.type] ?? event.type;
  const who = (event: RecordedEvent): string => event.name ?? event.who ?? s.decisions.unknown;
  return (
    <Page title={s.pages.decisions} lead={s.decisions.lead}>
      <Filters key={search.toString()} search={search} again={() => void record.refetch()} />
      <Answer of={record}>
        {({ pages }) => (
          <>
            <Rows
              label={s.pages.decisions}
              rows={pages.flatMap((page) => page.events)}
              id={(event) => event.id}
              empty={record.hasNextPage ? s.decisions.emptyPage : search.has('code') ? s.decisions.emptyCode : s.decisions.empty}
              columns={[
                { title: s.decisions.time, cell: (event) => when(event.at) },
                { title: s.decisions.caller, cell: who },
                { title: s.decisions.what, cell: what },
                { title: s.decisions.outcome, cell: (event) => <Outcome event={event} /> },
                {
                  title: s.decisions.explain,
                  cell: (event) => (
                    <Link to={path('decisions', event.id)} aria-label={s.decisions.explainOf(what(event), who(event))}>
                      {s.decisions.explain}
                    </Link>
                  ),
                },
              ]}
            />
            {record.hasNextPage && (
              <Button variant="default" mt="md" loading={record.isFetchingNextPage} onClick={() => void record.fetchNextPage()}>
                {s.older}
              </Button>
            )}
          </>
        )}
      </Answer>
    </Page>
  );
}

function Filters({ search, again }: { readonly search: URLSearchParams; readonly again: () => void }) {
  const s = useStrings();
  const [refused, setRefused] = useState(search.get('all') === null);
  const find = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const query: Record<string, string> = {};
    for (const name of names) {
      const value = String(form.get(name) ?? '').trim();
      if (value !== '') query[name] = value;
    }
    if (!refused) query['all'] = '1';
    const to = path('decisions', undefined, query);
    if (to === location.pathname + location.search) again();
    else go(to);
  };
  const field = (name: (typeof names)[number]) => ({ name, defaultValue: search.get(name) ?? '', autoComplete: 'off' });
  return (
    <form className="filters" role="search" onSubmit={find}>
      <TextInput label={s.decisions.text} placeholder={s.decisions.textHint} maxLength={200} {...field('search')} />
      <Checkbox label={s.decisions.refused} checked={refused} onChange={(event) => setRefused(event.currentTarget.checked)} />
      <Button type="submit">{s.decisions.find}</Button>
      <details open={names.some((name) => name !== 'search' && search.has(name))}>
        <summary>{s.decisions.more}</summary>
        <div>
          <TextInput label={s.decisions.who} placeholder={s.decisions.whoHint} {...field('who')} />
          <TextInput label={s.decisions.room} {...field('room')} />
          <TextInput label={s.decisions.code} {...field('code')} />
          <TextInput label={s.decisions.since} type="datetime-local" {...field('since')} />
          <TextInput label={s.decisions.until} type="datetime-local" {...field('until')} />
        </div>
      </details>
    </form>
  );
}
