import { Checkbox, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import type { Setting } from '@usher/client';
import { useState } from 'react';
import { useSigned } from '../context.ts';
import { useStrings } from '../i18n.tsx';
import { Answer } from '../parts/Answer.tsx';
import { Page } from '../parts/Page.tsx';
import { Rows } from '../parts/Rows.tsx';

/** The configuration in force, without its secrets. */
export function Configuration() {
  const s = useStrings();
  const { operator } = useSigned();
  const [text, setText] = useState('');
  const [given, setGiven] = useState(false);
  const settings = useQuery({ queryKey: ['configuration'], queryFn: () => operator.configuration(), staleTime: 60_000 });
  const search = text.trim().toLowerCase();
  const fits = (one: Setting): boolean => (!given || one.source !== undefined) && [one.key, one.value, one.doc].some((it) => it.toLowerCase().includes(search));
  return (
    <Page title={s.pages.configuration} lead={s.configuration.lead}>
      <div className="filters" role="search">
        <TextInput type="search" label={s.search} placeholder={s.configuration.search} value={text} onChange={(event) => setText(event.currentTarget.value)} />
        <Checkbox label={s.configuration.given} checked={given} onChange={(event) => setGiven(event.currentTarget.checked)} />
      </div>
      <Answer of={settings}>
        {(all) => (
          <Rows
            label={s.pages.configuration}
            rows={all.filter(fits)}
            id={(one) => one.key}
            empty={s.configuration.empty}
            columns={[
              {
                title: s.configuration.key,
                cell: (one) => (
                  <>
                    <code>{one.key}</code>
                    <span className="below dimmed">{one.doc}</span>
                  </>
                ),
              },
              { title: s.configuration.value, cell: (one) => <Value of={one} /> },
              { title: s.configuration.source, cell: (one) => one.source ?? s.configuration.default },
            ]}
          />
        )}
      </Answer>
    </Page>
  );
}

function Value({ of }: { readonly of: Setting }) {
  const s = useStrings();
  if (of.value === '') return <span className="dimmed">{s.configuration.unset}</span>;
  if (of.secret) return <em>{s.configuration.secret}</em>;
  return <code className="value">{of.value}</code>;
}
