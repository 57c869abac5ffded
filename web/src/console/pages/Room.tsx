import { Button, NativeSelect, Paper, Text, TextInput, Title } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { keepPreviousData, useQuery, useQueryClient } from '@tanstack/react-query';
import type { Participant, Room } from '@usher/client';
import { useState } from 'react';
import { useSigned } from '../context.ts';
import { when } from '../format.ts';
import { useStrings } from '../i18n.tsx';
import { Answer } from '../parts/Answer.tsx';
import { Ask } from '../parts/Ask.tsx';
import { Facts } from '../parts/Facts.tsx';
import { Link } from '../parts/Link.tsx';
import { Mark } from '../parts/Outcome.tsx';
import { Owner } from '../parts/Owner.tsx';
import { Page } from '../parts/Page.tsx';
import { Pages } from '../parts/Pages.tsx';
import { Rows } from '../parts/Rows.tsx';
import { useSay } from '../say.tsx';
import { path } from '../route.ts';

/** One room, who is in it, and how to end that. */
export function RoomPage({ id }: { readonly id: string }) {
  const s = useStrings();
  const { client } = useSigned();
  const room = useQuery({ queryKey: ['room', id], queryFn: () => client.api.room(id), refetchInterval: 5000 });
  const title = room.data === undefined ? s.pages.rooms : (room.data.name ?? s.rooms.nameless);
  return (
    <Page title={title} aside={<Link to={path('rooms')}>{s.room.back}</Link>}>
      <Answer of={room}>
        {(data) => (
          <>
            <Details room={data} title={title} />
            <Participants room={data} />
          </>
        )}
      </Answer>
    </Page>
  );
}

function Details({ room, title }: { readonly room: Room; readonly title: string }) {
  const s = useStrings();
  const { client } = useSigned();
  const say = useSay();
  const queries = useQueryClient();
  const [ending, setEnding] = useState(false);
  const platforms = useQuery({ queryKey: ['occupancy', room.id], queryFn: () => client.api.occupancy(room.id), staleTime: 15_000 });
  return (
    <Paper withBorder p="md" mb="lg" component="section" aria-label={s.room.details}>
      <Facts
        facts={[
          [s.rooms.status, s.rooms.statuses[room.status] ?? room.status],
          [s.rooms.seats, room.seats === 0 ? s.rooms.unlimited(room.taken) : s.rooms.limited(room.taken, room.seats)],
          [s.room.kind, s.rooms.kinds[room.kind] ?? room.kind],
          [s.room.admission, s.room.admissions[room.admission ?? ''] ?? room.admission],
          [s.rooms.owner, <Owner key="owner" of={room.owner} whole />],
          [s.room.id, <code key="id">{room.id}</code>],
          [s.rooms.created, when(room.created_at)],
          ...(room.ended_at === undefined ? [] : ([[s.room.ended, `${when(room.ended_at)}: ${room.end_reason ?? ''}`]] as const)),
          ...(platforms.data ?? []).map((one) => [`${s.room.platforms}: ${one.platform}`, one.problem ?? s.room.count(one.participants ?? 0)] as const),
        ]}
      />
      <div className="buttons">
        <Link to={path('decisions', undefined, { room: room.id, all: '1' })}>{s.room.decisions}</Link>
        {room.status !== 'ended' && (
          <Button color="red" onClick={() => setEnding(true)}>
            {s.room.end}
          </Button>
        )}
      </div>
      <Ask
        opened={ending}
        onClose={() => setEnding(false)}
        title={s.room.endTitle(title)}
        text={s.room.endText}
        action={s.room.end}
        reason
        does={(reason) => client.api.endRoom(room.id, reason)}
        done={() => {
          say(s.room.ended_);
          void queries.invalidateQueries();
        }}
      />
    </Paper>
  );
}

const colours = { ready: 'indigo', joined: 'teal', left: 'gray', removed: 'gray' } as const;

function Participants({ room }: { readonly room: Room }) {
  const s = useStrings();
  const { client } = useSigned();
  const say = useSay();
  const queries = useQueryClient();
  const [text, setText] = useState('');
  const [status, setStatus] = useState<Participant['status'] | ''>('');
  const [cursor, setCursor] = useState('');
  const [removing, setRemoving] = useState<Participant>();
  const [search] = useDebouncedValue(text.trim(), 300);
  const participants = useQuery({
    queryKey: ['participants', room.id, status, search, cursor],
    queryFn: () =>
      client.api.participants(room.id, { limit: 50, ...(status !== '' && { status }), ...(search !== '' && { search }), ...(cursor !== '' && { cursor }) }),
    refetchInterval: 5000,
    placeholderData: keepPreviousData,
  });
  const name = (one: Participant): string => one.name ?? s.room.unnamed;
  return (
    <section aria-label={s.room.participants}>
      <Title order={2} size="h3" mb="sm">
        {s.room.participants}
      </Title>
      <div className="filters" role="search">
        <TextInput
          type="search"
          label={s.search}
          placeholder={s.room.search}
          value={text}
          maxLength={200}
          onChange={(event) => {
            setText(event.currentTarget.value);
            setCursor('');
          }}
        />
        <NativeSelect
          label={s.room.status}
          value={status}
          data={[{ value: '', label: s.room.anyStatus }, ...Object.entries(s.room.statuses).map(([value, label]) => ({ value, label }))]}
          onChange={(event) => {
            setStatus(event.currentTarget.value as Participant['status'] | '');
            setCursor('');
          }}
        />
      </div>
      <Answer of={participants}>
        {(page) => (
          <>
            <Rows
              label={s.room.participants}
              rows={page.participants}
              id={(one) => one.id}
              empty={s.room.empty}
              columns={[
                {
                  title: s.room.name,
                  cell: (one) => (
                    <>
                      <Text component="span" fw={600}>
                        {name(one)}
                      </Text>
                      {one.identity !== undefined && <code className="below">{one.identity}</code>}
                    </>
                  ),
                },
                { title: s.room.status, cell: (one) => <Mark colour={colours[one.status]}>{s.room.statuses[one.status] ?? one.status}</Mark> },
                { title: s.room.role, cell: (one) => one.role },
                { title: s.room.since, cell: (one) => when(one.updated_at) },
                {
                  title: s.room.action,
                  cell: (one) =>
                    one.status === 'joined' || one.status === 'ready' ? (
                      <Button size="xs" color="red" onClick={() => setRemoving(one)} aria-label={s.room.removeOf(name(one))}>
                        {s.room.remove}
                      </Button>
                    ) : (
                      (one.end_reason ?? '–')
                    ),
                },
              ]}
            />
            <Pages cursor={cursor} next={page.next_cursor} onChange={setCursor} />
          </>
        )}
      </Answer>
      <Ask
        opened={removing !== undefined}
        onClose={() => setRemoving(undefined)}
        title={s.room.removeTitle(removing === undefined ? '' : name(removing))}
        text={s.room.removeText}
        action={s.room.remove}
        reason
        does={async (reason) => (removing === undefined ? undefined : client.api.removeParticipant(room.id, removing.id, reason))}
        done={() => {
          if (removing !== undefined) say(s.room.removed(name(removing)));
          void queries.invalidateQueries();
        }}
      />
    </section>
  );
}
