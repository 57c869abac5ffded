import { Button, Group, Modal, Stack, Text, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import type { Room } from '@usher/client';
import { useState } from 'react';
import { useStrings } from '../../i18n.tsx';
import { useMine } from '../context.tsx';
import { explain } from '../explain.ts';
import { Icon } from '../icons.tsx';
import { go } from '../route.ts';
import { Card } from './Home.tsx';

/** How many can be in a room: each sends to each. */
const seats = 6;

const key = ['rooms'] as const;

/** The rooms that there are for one: one's own first, then those of others, the newest first. */
export function Rooms() {
  const s = useStrings();
  const { client, owner } = useMine();
  const rooms = useQuery({ queryKey: key, queryFn: () => client.api.rooms({ limit: 50 }), refetchInterval: 15_000 });
  const [creating, setCreating] = useState(false);
  const open = (rooms.data?.rooms ?? []).filter((room) => room.status !== 'ended').reverse();
  const sorted = [...open.filter((room) => room.owner === owner), ...open.filter((room) => room.owner !== owner)];
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
      <ul className="people">
        {sorted.map((room) => (
          <Row key={room.id} room={room} />
        ))}
      </ul>
      <CreateRoom opened={creating} onClose={() => setCreating(false)} />
    </Card>
  );
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
