import { Alert, Button, Paper, Stack, Text, TextInput, Title } from '@mantine/core';
import { useState } from 'react';
import { useStrings } from '../i18n.tsx';
import icon from '../icon.svg';
import { useServices } from './context.tsx';
import { explain } from './explain.ts';
import { useStore } from './store.ts';

/** Signing in: by name in development mode, else at the issuer. */
export function SignIn() {
  const s = useStrings();
  const { session } = useServices();
  const { config, problem } = useStore(session);
  const [name, setName] = useState('');
  const [busy, setBusy] = useState(false);
  const enter = async (how: () => Promise<void>): Promise<void> => {
    setBusy(true);
    await how();
    setBusy(false);
  };
  return (
    <main className="narrow">
      <Stack gap="lg">
        <div>
          <Title order={1} className="brand">
            <img src={icon} alt="" width={36} height={36} />
            {s.name}
          </Title>
          <Text c="dimmed">{s.signIn.lead}</Text>
        </div>
        {problem !== undefined && (
          <Alert color="red" role="alert" title={s.failed.title}>
            {explain(s, problem)}
          </Alert>
        )}
        <Paper withBorder p="lg" shadow="sm">
          {config?.sign_in === 'name' && (
            <form
              onSubmit={(event) => {
                event.preventDefault();
                if (name.trim() !== '') void enter(() => session.byName(name));
              }}
            >
              <Stack>
                <TextInput
                  label={s.signIn.name}
                  description={s.signIn.nameHint}
                  value={name}
                  onChange={(event) => setName(event.currentTarget.value)}
                  autoComplete="nickname"
                  maxLength={60}
                  size="md"
                  required
                  withAsterisk={false}
                  autoFocus
                />
                <Button type="submit" size="md" loading={busy}>
                  {s.signIn.byName}
                </Button>
              </Stack>
            </form>
          )}
          {config?.sign_in === 'issuer' && (
            <Stack>
              <Button size="md" loading={busy} onClick={() => void enter(() => session.atIssuer())}>
                {s.signIn.atIssuer}
              </Button>
              <Text size="sm" c="dimmed">
                {s.signIn.atIssuerHint(new URL(config.issuer ?? location.origin).host)}
              </Text>
            </Stack>
          )}
          {config?.sign_in === 'none' && <Text>{s.signIn.none}</Text>}
          {config === undefined && (
            <Button onClick={() => location.reload()} fullWidth>
              {s.retry}
            </Button>
          )}
        </Paper>
        {config?.sign_in === 'name' && (
          <Text size="sm" c="dimmed">
            {s.signIn.trySecond}
          </Text>
        )}
      </Stack>
    </main>
  );
}
