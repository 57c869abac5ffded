import { Code, Paper, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useSigned } from '../context.ts';
import { useStrings } from '../i18n.tsx';
import { Answer } from '../parts/Answer.tsx';
import { Link } from '../parts/Link.tsx';
import { Outcome } from '../parts/Outcome.tsx';
import { Page } from '../parts/Page.tsx';
import { path } from '../route.ts';

/** One entry of the record, in sentences. */
export function Decision({ id }: { readonly id: string }) {
  const s = useStrings();
  const { operator } = useSigned();
  const explanation = useQuery({ queryKey: ['explanation', id], queryFn: () => operator.explanation(id) });
  return (
    <Page title={s.decisions.one} aside={<Link to={path('decisions')}>{s.decisions.back}</Link>}>
      <Answer of={explanation}>
        {({ event, sentences }) => (
          <>
            <Paper withBorder p="lg" mb="lg">
              <Outcome event={event} />
              <ol className="sentences">
                {sentences.map((sentence) => (
                  <li key={sentence}>{sentence}</li>
                ))}
              </ol>
              {event.room !== undefined && <Link to={path('rooms', event.room)}>{s.decisions.ofRoom}</Link>}
            </Paper>
            <Title order={2} size="h4" mb="sm">
              {s.decisions.entry}
            </Title>
            <Code block tabIndex={0}>
              {JSON.stringify(event, null, 2)}
            </Code>
          </>
        )}
      </Answer>
    </Page>
  );
}
