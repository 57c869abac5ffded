import { Button, Paper, Stack, Text, TextInput, Title } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { useStrings } from './i18n.tsx';
import { Failure } from './parts/Answer.tsx';
import { atIssuer, byName, type Signed, type WebConfig } from './session.ts';

interface Props {
  readonly config: WebConfig;
  /** Why who was signed in is not any more. */
  readonly problem: Error | null;
  readonly onSignedIn: (signed: Signed) => void;
}

/** Signing in: by name in development mode, else at the issuer. */
export function SignIn({ config, problem, onSignedIn }: Props) {
  const s = useStrings();
  const [name, setName] = useState('');
  const entering = useMutation({ mutationFn: () => byName(name.trim()), onSuccess: onSignedIn });
  const leaving = useMutation({ mutationFn: () => atIssuer(config) });
  const error = entering.error ?? leaving.error ?? problem;
  return (
    <main className="sign-in">
      <Title order={1}>
        {s.product} {s.title}
      </Title>
      <Text c="dimmed" mb="lg">
        {s.signIn.lead}
      </Text>
      {error !== null && <Failure title={s.signIn.failed} error={error} />}
      <Paper withBorder p="lg">
        {config.sign_in === 'name' && (
          <form
            onSubmit={(event) => {
              event.preventDefault();
              if (name.trim() !== '') entering.mutate();
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
                required
              />
              <Button type="submit" loading={entering.isPending}>
                {s.signIn.enter}
              </Button>
            </Stack>
          </form>
        )}
        {config.sign_in === 'issuer' && (
          <Stack>
            <Button loading={leaving.isPending} onClick={() => leaving.mutate()}>
              {s.signIn.enter}
            </Button>
            <Text size="sm" c="dimmed">
              {s.signIn.atIssuer(new URL(config.issuer ?? location.origin).host)}
            </Text>
          </Stack>
        )}
        {config.sign_in === 'none' && <Text>{s.signIn.none}</Text>}
      </Paper>
    </main>
  );
}
