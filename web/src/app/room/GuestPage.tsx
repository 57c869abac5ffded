import { Alert, Button, Group, Paper, Stack, Text, TextInput, Title } from '@mantine/core';
import { useEffect, useState } from 'react';
import { useStrings } from '../../i18n.tsx';
import { useServices } from '../context.tsx';
import { explain } from '../explain.ts';
import { Brand } from '../home/Header.tsx';
import { BeforeJoining } from '../media/DevicesDialog.tsx';
import { decoded, go } from '../route.ts';
import { useStore } from '../store.ts';
import { joinNow } from './joinnow.ts';

/** Joining by an invite link: a name and a look at oneself. */
export function GuestPage() {
  const s = useStrings();
  const { session, devices } = useServices();
  const { signed } = useStore(session);
  const [code] = useState(() => decoded(location.hash.slice(1)));
  const [name, setName] = useState(signed?.me.name ?? '');
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>();
  useEffect(() => {
    document.title = `${s.room.ready} · ${s.name}`;
    void devices.open('room');
  }, [devices, s]);
  const join = async (): Promise<void> => {
    setBusy(true);
    setProblem(undefined);
    try {
      const room = await session.asGuest(code, name);
      joinNow(room);
      go(`/room/${room}`, { replace: true });
    } catch (thrown) {
      setProblem(thrown);
      setBusy(false);
    }
  };
  return (
    <main className="narrow wide">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (name.trim() !== '') void join();
        }}
      >
        <Stack>
          <div>
            <Brand />
            <Title order={1}>{s.room.ready}</Title>
            <Text c="dimmed">{s.room.invited}</Text>
          </div>
          {code === '' && (
            <Alert color="red" role="alert">
              {s.room.noCode}
            </Alert>
          )}
          {problem !== undefined && (
            <Alert color="red" role="alert" title={s.failed.title}>
              {explain(s, problem)}
            </Alert>
          )}
          <Paper withBorder p="md" shadow="sm">
            <Stack>
              <TextInput
                label={s.room.yourName}
                value={name}
                onChange={(event) => setName(event.currentTarget.value)}
                autoComplete="nickname"
                maxLength={60}
                size="md"
                required
                withAsterisk={false}
                autoFocus
              />
              <BeforeJoining />
            </Stack>
          </Paper>
          <Group justify="flex-end">
            <Button type="submit" size="md" loading={busy} disabled={code === ''}>
              {s.room.join}
            </Button>
          </Group>
        </Stack>
      </form>
    </main>
  );
}
