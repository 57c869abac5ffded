import { Button, Group, Title } from '@mantine/core';
import { keepPreviousData, useQuery, useQueryClient } from '@tanstack/react-query';
import type { Backend, KeyedBackend } from '@usher/client';
import { useState } from 'react';
import { useSigned } from '../context.ts';
import { when } from '../format.ts';
import { useStrings } from '../i18n.tsx';
import type { Strings } from '../strings.ts';
import { Answer } from '../parts/Answer.tsx';
import { Ask } from '../parts/Ask.tsx';
import { Mark } from '../parts/Outcome.tsx';
import { Page } from '../parts/Page.tsx';
import { Pages } from '../parts/Pages.tsx';
import { Rows } from '../parts/Rows.tsx';
import { useFocusBack } from '../parts/focus.ts';
import { useSay } from '../say.tsx';
import { BackendForm, NewKey } from './BackendForm.tsx';
import { SigningKeys } from './SigningKeys.tsx';

/** The back ends that may call, and the keys that this server signs with. */
export function Clients() {
  const s = useStrings();
  return (
    <Page title={s.pages.clients}>
      <Backends />
      <SigningKeys />
    </Page>
  );
}

function state(one: Backend): 'active' | 'expired' | 'revoked' {
  if (one.revoked_at !== undefined) return 'revoked';
  return one.expires_at !== undefined && Date.parse(one.expires_at) <= Date.now() ? 'expired' : 'active';
}

const colours = { active: 'teal', expired: 'gray', revoked: 'gray' } as const;

function proof(s: Strings, one: Backend): string {
  if (one.public_key !== undefined && one.has_api_key) return s.clients.bothKeys;
  return one.has_api_key ? s.clients.apiKey : s.clients.publicKey;
}

function Backends() {
  const s = useStrings();
  const { operator } = useSigned();
  const say = useSay();
  const queries = useQueryClient();
  const [cursor, setCursor] = useState('');
  const [form, setForm] = useState<'add' | Backend>();
  const [revoking, setRevoking] = useState<Backend>();
  const [made, setMade] = useState<KeyedBackend>();
  const backends = useQuery({
    queryKey: ['backends', cursor],
    queryFn: () => operator.backends(cursor === '' ? {} : { cursor }),
    placeholderData: keepPreviousData,
  });
  const again = (): void => void queries.invalidateQueries({ queryKey: ['backends'] });
  useFocusBack(form !== undefined || made?.api_key !== undefined);
  return (
    <section aria-label={s.clients.backends}>
      <div className="section-head">
        <div>
          <Title order={2} size="h3">
            {s.clients.backends}
          </Title>
          <p className="dimmed">{s.clients.lead}</p>
        </div>
        <Button onClick={() => setForm('add')}>{s.clients.add}</Button>
      </div>
      <Answer of={backends}>
        {(page) => (
          <>
            <Rows
              label={s.clients.backends}
              rows={page.clients}
              id={(one) => one.id}
              empty={s.clients.empty}
              columns={[
                {
                  title: s.clients.name,
                  cell: (one) => (
                    <>
                      <strong>{one.name}</strong>
                      <code className="below">{one.id}</code>
                    </>
                  ),
                },
                { title: s.clients.state, cell: (one) => <Mark colour={colours[state(one)]}>{s.clients.states[state(one)]}</Mark> },
                { title: s.clients.proof, cell: (one) => proof(s, one) },
                { title: s.clients.scopes, cell: (one) => <span className="small">{one.scopes.join(' ')}</span> },
                { title: s.clients.used, cell: (one) => (one.last_used_at === undefined ? s.never : when(one.last_used_at)) },
                {
                  title: s.clients.actions,
                  cell: (one) =>
                    state(one) === 'revoked' ? (
                      '–'
                    ) : (
                      <Group gap="xs" wrap="nowrap">
                        <Button size="xs" variant="default" aria-label={s.clients.rotateOf(one.name)} onClick={() => setForm(one)}>
                          {s.clients.rotate}
                        </Button>
                        <Button size="xs" color="red" aria-label={s.clients.revokeOf(one.name)} onClick={() => setRevoking(one)}>
                          {s.clients.revoke}
                        </Button>
                      </Group>
                    ),
                },
              ]}
            />
            <Pages cursor={cursor} next={page.next_cursor} onChange={setCursor} />
          </>
        )}
      </Answer>
      {form !== undefined && (
        <BackendForm
          of={form === 'add' ? undefined : form}
          onClose={() => setForm(undefined)}
          done={(backend) => {
            setForm(undefined);
            say(form === 'add' ? s.clients.registered(backend.id) : s.clients.rotated(backend.name));
            if (backend.api_key !== undefined) setMade(backend);
            again();
          }}
        />
      )}
      {made?.api_key !== undefined && <NewKey of={made.api_key} onClose={() => setMade(undefined)} />}
      <Ask
        opened={revoking !== undefined}
        onClose={() => setRevoking(undefined)}
        title={s.clients.revokeTitle(revoking?.name ?? '')}
        text={s.clients.revokeText}
        action={s.clients.revoke}
        does={async () => (revoking === undefined ? undefined : operator.revokeBackend(revoking.id))}
        done={() => {
          say(s.clients.revoked(revoking?.name ?? ''));
          again();
        }}
      />
    </section>
  );
}
