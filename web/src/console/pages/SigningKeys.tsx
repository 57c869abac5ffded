import { Button, Title } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import type { SigningKey } from '@usher/client';
import { useState } from 'react';
import { useSigned } from '../context.ts';
import { when } from '../format.ts';
import { useStrings } from '../i18n.tsx';
import { Answer } from '../parts/Answer.tsx';
import { Ask } from '../parts/Ask.tsx';
import { Mark } from '../parts/Outcome.tsx';
import { Rows } from '../parts/Rows.tsx';
import { useSay } from '../say.tsx';

const colours = { next: 'indigo', current: 'teal', retired: 'gray' } as const;

/** The keys that this server signs its own tokens with. */
export function SigningKeys() {
  const s = useStrings();
  const { operator } = useSigned();
  const say = useSay();
  const queries = useQueryClient();
  const [rotating, setRotating] = useState(false);
  const [retiring, setRetiring] = useState<SigningKey>();
  const keys = useQuery({ queryKey: ['keys'], queryFn: () => operator.keys() });
  const again = (): void => void queries.invalidateQueries({ queryKey: ['keys'] });
  return (
    <section aria-label={s.keys.title} className="later">
      <div className="section-head">
        <div>
          <Title order={2} size="h3">
            {s.keys.title}
          </Title>
          <p className="dimmed">{s.keys.lead}</p>
        </div>
        <Button onClick={() => setRotating(true)}>{s.keys.rotate}</Button>
      </div>
      <Answer of={keys}>
        {(all) => (
          <Rows
            label={s.keys.title}
            rows={all}
            id={(key) => key.kid}
            empty={s.none}
            columns={[
              { title: s.keys.kid, cell: (key) => <code>{key.kid}</code> },
              { title: s.keys.state, cell: (key) => <Mark colour={colours[key.state]}>{s.keys.states[key.state] ?? key.state}</Mark> },
              { title: s.keys.algorithm, cell: (key) => key.algorithm },
              { title: s.keys.made, cell: (key) => when(key.created_at) },
              { title: s.keys.until, cell: (key) => when(key.not_after) },
              {
                title: s.clients.actions,
                cell: (key) =>
                  key.state === 'current' ? (
                    '–'
                  ) : (
                    <Button size="xs" color="red" aria-label={s.keys.retireOf(key.kid)} onClick={() => setRetiring(key)}>
                      {s.keys.retire}
                    </Button>
                  ),
              },
            ]}
          />
        )}
      </Answer>
      <Ask
        opened={rotating}
        onClose={() => setRotating(false)}
        title={s.keys.rotateTitle}
        text={s.keys.rotateText}
        action={s.keys.rotate}
        does={() => operator.rotateKeys()}
        done={() => {
          say(s.keys.rotated);
          again();
        }}
      />
      <Ask
        opened={retiring !== undefined}
        onClose={() => setRetiring(undefined)}
        title={s.keys.retireTitle}
        text={s.keys.retireText}
        action={s.keys.retire}
        does={async () => (retiring === undefined ? undefined : operator.retireKey(retiring.kid))}
        done={() => {
          say(s.keys.retired);
          again();
        }}
      />
    </section>
  );
}
