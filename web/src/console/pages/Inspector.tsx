import { Alert, Button, Paper, Stack, Textarea, TextInput, Title } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import type { Inspection } from '@usher/client';
import { useState } from 'react';
import { useSigned } from '../context.ts';
import { when } from '../format.ts';
import { useStrings } from '../i18n.tsx';
import { Failure } from '../parts/Answer.tsx';
import { Facts } from '../parts/Facts.tsx';
import { Page } from '../parts/Page.tsx';

/** Says what a token is. The token is in no address and is not kept. */
export function Inspector() {
  const s = useStrings();
  const { client } = useSigned();
  const [token, setToken] = useState('');
  const [room, setRoom] = useState('');
  const [subject, setSubject] = useState('');
  const looking = useMutation({
    mutationFn: () => client.api.inspect({ token: token.trim(), ...(room !== '' && { room }), ...(subject !== '' && { subject }) }),
    gcTime: 0,
  });
  return (
    <Page title={s.pages.inspector} lead={s.inspector.lead}>
      <form
        className="narrow-form"
        onSubmit={(event) => {
          event.preventDefault();
          looking.mutate();
        }}
      >
        <Stack>
          <Textarea
            label={s.inspector.token}
            description={s.inspector.tokenHint}
            value={token}
            onChange={(event) => setToken(event.currentTarget.value)}
            required
            rows={5}
            spellCheck={false}
            autoComplete="off"
            classNames={{ input: 'mono' }}
          />
          <div className="two">
            <TextInput label={s.inspector.room} description={s.inspector.hint} value={room} onChange={(event) => setRoom(event.currentTarget.value)} autoComplete="off" />
            <TextInput label={s.inspector.subject} description={s.inspector.hint} value={subject} onChange={(event) => setSubject(event.currentTarget.value)} autoComplete="off" />
          </div>
          <div>
            <Button type="submit" loading={looking.isPending}>
              {s.inspector.inspect}
            </Button>
          </div>
        </Stack>
      </form>
      <div aria-live="polite">
        {looking.error !== null && <Failure title={s.notDone} error={looking.error} />}
        {looking.data !== undefined && <Found found={looking.data} />}
      </div>
    </Page>
  );
}

function Found({ found }: { readonly found: Inspection }) {
  const s = useStrings();
  const good = found.problems.length === 0;
  const claims = Object.entries(found.claims ?? {}).sort(([a], [b]) => a.localeCompare(b));
  return (
    <Paper withBorder p="md">
      <Alert color={good ? 'teal' : 'red'} title={good ? s.inspector.good : s.inspector.bad} mb="md">
        {!good && (
          <ul className="problems">
            {found.problems.map((problem) => (
              <li key={problem}>{problem}</li>
            ))}
          </ul>
        )}
      </Alert>
      <Facts
        facts={[
          [s.inspector.format, found.format],
          [s.inspector.platform, found.platform],
          [s.inspector.signature, s.inspector.verified[found.verified] ?? found.verified],
          ...(found.subject === undefined ? [] : ([[s.inspector.subjectIn, <code key="subject">{found.subject}</code>]] as const)),
          ...(found.room === undefined ? [] : ([[s.inspector.roomIn, <code key="room">{found.room}</code>]] as const)),
          ...(found.issued_at === undefined ? [] : ([[s.inspector.issued, when(found.issued_at)]] as const)),
          ...(found.expires_at === undefined ? [] : ([[s.inspector.expires, when(found.expires_at)]] as const)),
        ]}
      />
      {claims.length > 0 && (
        <>
          <Title order={2} size="h4" mt="md" mb="sm">
            {s.inspector.contents}
          </Title>
          <Facts facts={claims.map(([name, value]) => [name, <code key={name}>{typeof value === 'string' ? value : JSON.stringify(value)}</code>] as const)} />
        </>
      )}
    </Paper>
  );
}
