import { NativeSelect, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import type { RoomStatus } from '@usher/client';
import { useState } from 'react';
import { useSigned } from '../context.ts';
import { when } from '../format.ts';
import { useStrings } from '../i18n.tsx';
import { Answer } from '../parts/Answer.tsx';
import { Link } from '../parts/Link.tsx';
import { Mark } from '../parts/Outcome.tsx';
import { Owner } from '../parts/Owner.tsx';
import { Page } from '../parts/Page.tsx';
import { Pages } from '../parts/Pages.tsx';
import { Rows } from '../parts/Rows.tsx';
import { path } from '../route.ts';

const colours = { ready: 'indigo', running: 'teal', ended: 'gray' } as const;

/** Every room. */
export function Rooms() {
  const s = useStrings();
  const { client } = useSigned();
  const [text, setText] = useState('');
  const [status, setStatus] = useState<RoomStatus | ''>('running');
  const [cursor, setCursor] = useState('');
  const [search] = useDebouncedValue(text.trim(), 300);
  const rooms = useQuery({
    queryKey: ['rooms', status, search, cursor],
    queryFn: () => client.api.rooms({ limit: 50, ...(status !== '' && { status }), ...(search !== '' && { search }), ...(cursor !== '' && { cursor }) }),
    refetchInterval: 10_000,
    placeholderData: keepPreviousData,
  });
  return (
    <Page title={s.pages.rooms}>
      <div className="filters" role="search">
        <TextInput
          type="search"
          label={s.search}
          placeholder={s.rooms.search}
          value={text}
          maxLength={200}
          onChange={(event) => {
            setText(event.currentTarget.value);
            setCursor('');
          }}
        />
        <NativeSelect
          label={s.rooms.status}
          value={status}
          data={[{ value: '', label: s.rooms.any }, ...Object.entries(s.rooms.statuses).map(([value, label]) => ({ value, label }))]}
          onChange={(event) => {
            setStatus(event.currentTarget.value as RoomStatus | '');
            setCursor('');
          }}
        />
      </div>
      <Answer of={rooms}>
        {(page) => (
          <>
            <Rows
              label={s.pages.rooms}
              rows={page.rooms}
              id={(room) => room.id}
              empty={page.next_cursor !== '' ? s.rooms.emptyPage : status === 'running' && search === '' ? s.rooms.noneRuns : s.rooms.empty}
              columns={[
                { title: s.rooms.name, cell: (room) => <Link to={path('rooms', room.id)}>{room.name ?? `${s.rooms.nameless} (${room.id.slice(0, 8)}…)`}</Link> },
                { title: s.rooms.status, cell: (room) => <Mark colour={colours[room.status]}>{s.rooms.statuses[room.status] ?? room.status}</Mark> },
                { title: s.rooms.seats, end: true, cell: (room) => (room.seats === 0 ? s.rooms.unlimited(room.taken) : s.rooms.limited(room.taken, room.seats)) },
                { title: s.rooms.owner, cell: (room) => <Owner of={room.owner} /> },
                { title: s.rooms.created, cell: (room) => when(room.created_at) },
              ]}
            />
            <Pages cursor={cursor} next={page.next_cursor} onChange={setCursor} />
          </>
        )}
      </Answer>
    </Page>
  );
}
