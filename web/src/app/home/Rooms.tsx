import { Button, Group, Modal, Stack, Text, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { all, type Client, type Room } from '@usher/client';
import { useEffect, useRef, useState } from 'react';
import { useStrings } from '../../i18n.tsx';
import { useMine } from '../context.tsx';
import { explain } from '../explain.ts';
import { Icon } from '../icons.tsx';
import { go } from '../route.ts';
import { Card } from './Home.tsx';

/** How many can be in a room: each sends to each. */
const seats = 6;

/** How many rooms are shown at first, and how many more each time that one asks. */
const some = 10;

/** How many rooms of a status are asked for. */
const most = 1000;

const key = ['rooms'] as const;

/** open are the rooms that have not ended. The server names the oldest first, so that all are read. */
async function open({ api }: Client): Promise<readonly Room[]> {
  const list = (status: Room['status']): Promise<readonly Room[]> => all('rooms', (page) => api.rooms({ ...page, status }), most);
  const [ready, running] = await Promise.all([list('ready'), list('running')]);
  return [...ready, ...running];
}

/** The rooms that there are for one: one's own first, then those of others, the newest first. */
export function Rooms() {
  const s = useStrings();
  const { client, owner } = useMine();
  const rooms = useQuery({ queryKey: key, queryFn: () => open(client), refetchInterval: 15_000 });
  const [creating, setCreating] = useState(false);
  const { shown, more, list } = useMore();
  const newest = [...(rooms.data ?? [])].sort((a, b) => b.created_at.localeCompare(a.created_at));
  const sorted = [...newest.filter((room) => room.owner === owner), ...newest.filter((room) => room.owner !== owner)];
  return (
    <Card
      title={s.rooms.title}
      beside={
        <Button size="compact-md" leftSection={<Icon name="add" size={16} />} onClick={() => setCreating(true)}>
          {s.rooms.create}
        </Button>
      }
    >
      {rooms.isError && (
        <Text role="alert" c="var(--mantine-color-error)">
          {s.rooms.failed}
        </Text>
      )}
      <Text c="dimmed">{s.rooms.lead}</Text>
      <ul className="people" ref={list} aria-label={s.rooms.title}>
        {sorted.slice(0, shown).map((room) => (
          <Row key={room.id} room={room} />
        ))}
      </ul>
      {sorted.length > shown && (
        <Button variant="subtle" fullWidth onClick={more}>
          {s.rooms.more(sorted.length - shown)}
        </Button>
      )}
      <CreateRoom opened={creating} onClose={() => setCreating(false)} />
    </Card>
  );
}

/** How much of a list is shown. Who asks for more goes on at the first that is new. */
function useMore() {
  const [shown, setShown] = useState(some);
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => {
    if (shown > some) list.current?.children[shown - some]?.querySelector('button')?.focus();
  }, [shown]);
  return { shown, list, more: () => setShown((now) => now + some) };
}

const time = new Intl.DateTimeFormat(undefined, { dateStyle: 'short', timeStyle: 'short' });

function Row({ room }: { readonly room: Room }) {
  const s = useStrings();
  const { owner } = useMine();
  const name = room.name ?? s.rooms.unnamed;
  const notes = [s.rooms.inside(room.taken), s.rooms.made(time.format(new Date(room.created_at))), ...(room.owner === owner ? [] : [s.rooms.others])];
  return (
    <li className="person">
      <div className="person-name">
        <Text fw={500} truncate>
          {name}
        </Text>
        <Text size="sm" c="dimmed">
          {notes.join(' · ')}
        </Text>
      </div>
      <Button variant="default" size="compact-md" aria-label={s.rooms.join(name)} onClick={() => go(`/room/${room.id}`)}>
        {s.room.join}
      </Button>
    </li>
  );
}

function CreateRoom({ opened, onClose }: { readonly opened: boolean; readonly onClose: () => void }) {
  const s = useStrings();
  const { client } = useMine();
  const queries = useQueryClient();
  const [name, setName] = useState('');
  const create = useMutation({
    mutationFn: () => client.api.createRoom({ seats, admission: 'invite', ...(name.trim() === '' ? {} : { name: name.trim() }) }),
    onSuccess: (room) => {
      setName('');
      onClose();
      go(`/room/${room.id}`);
    },
    onSettled: () => queries.invalidateQueries({ queryKey: key }),
  });
  const close = (): void => {
    create.reset();
    onClose();
  };
  return (
    <Modal opened={opened} onClose={close} title={s.rooms.create} closeButtonProps={{ 'aria-label': s.close }} centered>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          create.mutate();
        }}
      >
        <Stack>
          <TextInput
            label={s.rooms.name}
            description={s.rooms.nameHint}
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
            error={create.isError ? explain(s, create.error) : undefined}
            autoComplete="off"
            maxLength={60}
            data-autofocus
          />
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              {s.cancel}
            </Button>
            <Button type="submit" loading={create.isPending}>
              {s.rooms.create}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
