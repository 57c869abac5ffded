import { Alert, Button, Paper, Text, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import type { HealthCheck } from '@usher/client';
import { useSigned } from '../context.ts';
import { hour } from '../format.ts';
import { useStrings } from '../i18n.tsx';
import { Answer } from '../parts/Answer.tsx';
import { Mark } from '../parts/Outcome.tsx';
import { Page } from '../parts/Page.tsx';

const colours = { well: 'teal', failing: 'red', silent: 'gray' } as const;

/** How everything is that the server depends on. */
export function Health() {
  const s = useStrings();
  const { operator } = useSigned();
  const health = useQuery({ queryKey: ['health'], queryFn: () => operator.health(), refetchInterval: 30_000 });
  return (
    <Page
      title={s.pages.health}
      lead={s.health.lead}
      aside={
        <Button variant="default" loading={health.isFetching} onClick={() => void health.refetch()}>
          {s.health.again}
        </Button>
      }
    >
      <Answer of={health}>{(checks) => <Checks checks={checks} />}</Answer>
    </Page>
  );
}

function Checks({ checks }: { readonly checks: readonly HealthCheck[] }) {
  const s = useStrings();
  const failing = checks.filter((check) => check.state === 'failing').length;
  return (
    <>
      <Alert color={failing === 0 ? 'teal' : 'red'} role="status" mb="md" title={failing === 0 ? s.health.all : s.health.some(failing)} />
      <ul className="cards">
        {checks.map((check) => (
          <Paper withBorder p="md" component="li" key={`${check.kind} ${check.name}`} data-check={`${check.kind} ${check.name}`}>
            <Text size="sm" c="dimmed">
              {s.health.kinds[check.kind] ?? check.kind}
            </Text>
            <div className="card-head">
              <Title order={2} size="h4">
                {check.name}
              </Title>
              <Mark colour={colours[check.state]}>{s.health.states[check.state] ?? check.state}</Mark>
            </div>
            {check.message !== undefined && <Text mt="xs">{check.message}</Text>}
            {check.state === 'silent' ? (
              <Text size="sm" c="dimmed" mt="xs">
                {s.health.silent}
              </Text>
            ) : (
              <Text size="sm" c="dimmed" mt="xs">
                {check.state === 'well' && `${s.health.took(check.took_ms)}, `}
                {s.health.asked(hour(check.checked_at))}
              </Text>
            )}
          </Paper>
        ))}
      </ul>
    </>
  );
}
