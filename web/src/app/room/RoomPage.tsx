import { Alert, Button, Group, Paper, Stack, Text, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { useStrings } from '../../i18n.tsx';
import { useServices } from '../context.tsx';
import { explain } from '../explain.ts';
import { Brand } from '../home/Header.tsx';
import { BeforeJoining } from '../media/DevicesDialog.tsx';
import { go } from '../route.ts';
import type { Signed } from '../session.ts';
import { useStore } from '../store.ts';
import { takeJoinNow } from './joinnow.ts';
import { Meeting } from './meeting.ts';
import { RoomView } from './RoomView.tsx';

/** A room: a look at oneself, then everybody, then why one is out. */
export function RoomPage({ room, signed }: { readonly room: string; readonly signed: Signed }) {
  const s = useStrings();
  const { devices, say } = useServices();
  const [meeting] = useState(
    () =>
      new Meeting(room, signed.client, devices, {
        joined: (name) => say(s.room.joined(name)),
        left: (name) => say(s.room.left(name)),
        muted: () => say(s.room.mutedByHost),
        unlinked: (name) => say(s.room.unlinked(name)),
      }),
  );
  const state = useStore(meeting);
  const known = useQuery({ queryKey: ['room', room], queryFn: () => signed.client.api.room(room), retry: false, staleTime: 60_000 });
  const name = known.data?.name ?? s.room.room;
  const begun = useRef(false);
  useEffect(() => {
    if (begun.current) return; // React calls effects twice while one develops
    begun.current = true;
    if (meeting.wasIn || takeJoinNow(room)) void meeting.join();
    else void devices.open('room');
  }, [meeting, devices, room]);
  // Whatever takes the place of this page, such as a call that was accepted, leaves the room.
  const leaving = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => {
    clearTimeout(leaving.current);
    return () => {
      leaving.current = setTimeout(() => void meeting.leave());
    };
  }, [meeting]);
  useEffect(() => {
    document.title = `${name} · ${s.name}`;
  }, [name, s]);
  const home = (): void => go('/');
  switch (state.phase) {
    case 'in':
      return <RoomView meeting={meeting} name={name} invites={signed.guestOf === undefined} />;
    case 'out':
      return <Out reason={state.reason ?? 'left'} message={state.message ?? ''} again={() => void meeting.join()} home={home} />;
    default: {
      const problem = state.problem ?? known.error;
      return (
        <main className="narrow wide">
          <Stack>
            <div>
              <Brand />
              <Title order={1}>{s.room.joinTitle(name)}</Title>
            </div>
            {problem !== null && problem !== undefined && (
              <Alert color="red" role="alert" title={s.failed.title}>
                {explain(s, problem)}
              </Alert>
            )}
            <Paper withBorder p="md" shadow="sm">
              <BeforeJoining />
            </Paper>
            <Group justify="flex-end">
              <Button variant="default" onClick={home}>
                {s.back}
              </Button>
              <Button loading={state.phase === 'joining'} onClick={() => void meeting.join()}>
                {s.room.join}
              </Button>
            </Group>
          </Stack>
        </main>
      );
    }
  }
}

interface OutProps {
  readonly reason: string;
  readonly message: string;
  readonly again: () => void;
  readonly home: () => void;
}

/** What a server says of a room that was ended without a reason, which adds nothing to the heading. */
const plain: ReadonlySet<string> = new Set(['The room was ended.', 'The meeting was ended.']);

function Out({ reason, message, again, home }: OutProps) {
  const s = useStrings();
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  return (
    <main className="narrow" data-out={reason}>
      <Stack>
        <Brand />
        <Title order={1} size="h2" ref={heading} tabIndex={-1}>
          {s.room.out[reason] ?? s.room.out.lost}
        </Title>
        {message !== '' && !plain.has(message) && <Text>{message}</Text>}
        <Group>
          {(reason === 'left' || reason === 'lost') && <Button onClick={again}>{s.room.rejoin}</Button>}
          <Button variant="default" onClick={home}>
            {s.back}
          </Button>
        </Group>
      </Stack>
    </main>
  );
}
