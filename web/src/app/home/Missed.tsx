import { ActionIcon, Button, Text } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import type { MissedCall } from '@usher/client';
import { useEffect } from 'react';
import { useStrings } from '../../i18n.tsx';
import { useMine } from '../context.tsx';
import { Icon } from '../icons.tsx';
import { Card } from './Home.tsx';

const key = ['missed'] as const;

/** The calls that nobody took. */
export function Missed() {
  const s = useStrings();
  const { client } = useMine();
  const queries = useQueryClient();
  const missed = useQuery({ queryKey: key, queryFn: () => client.api.missedCalls({ limit: 20 }) });
  useEffect(() => client.calls.on('missed', () => void queries.invalidateQueries({ queryKey: key })), [client, queries]);
  const clear = useMutation({
    mutationFn: (newest: string) => client.api.acknowledgeCalls(newest),
    onSettled: () => queries.invalidateQueries({ queryKey: key }),
  });
  const calls = missed.data?.calls ?? [];
  const [newest] = calls;
  return (
    <Card
      title={s.missed.title}
      beside={
        newest !== undefined && (
          <Button size="compact-md" variant="default" loading={clear.isPending} onClick={() => clear.mutate(newest.id)}>
            {s.missed.clear}
          </Button>
        )
      }
    >
      {calls.length === 0 && <Text c="dimmed">{s.missed.none}</Text>}
      <ul className="people">
        {calls.map((call) => (
          <Row key={call.id} call={call} />
        ))}
      </ul>
    </Card>
  );
}

const time = new Intl.DateTimeFormat(undefined, { dateStyle: 'short', timeStyle: 'short' });

function Row({ call }: { readonly call: MissedCall }) {
  const s = useStrings();
  const { phone } = useMine();
  const name = call.name ?? call.email ?? s.call.somebody;
  const notes = [time.format(new Date(call.invited_at)), ...(call.request ? [s.missed.stranger] : []), ...(call.reason === 'user_busy' ? [s.missed.busy] : [])];
  return (
    <li className="person" data-missed={name}>
      <div className="person-name">
        <Text fw={500} truncate>
          {name}
        </Text>
        <Text size="sm" c="dimmed">
          {notes.join(' · ')}
        </Text>
      </div>
      <ActionIcon
        size={40}
        radius="xl"
        color="teal"
        variant="light"
        aria-label={s.missed.callBack(name)}
        onClick={() => void phone.call({ id: call.from, name, email: call.email })}
      >
        <Icon name="phone" />
      </ActionIcon>
    </li>
  );
}
