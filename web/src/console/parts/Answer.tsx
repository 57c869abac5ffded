import { Alert, Button, Group, Loader, Text } from '@mantine/core';
import { UsherError } from '@usher/client';
import type { ReactNode } from 'react';
import { useStrings } from '../i18n.tsx';
import { path } from '../route.ts';
import { Link } from './Link.tsx';

interface Asked<T> {
  readonly data: T | undefined;
  readonly error: Error | null;
  readonly refetch: () => unknown;
}

/** Shows what was asked for when it is there, and until then that it is coming, or why it is not. */
export function Answer<T>({ of, children }: { readonly of: Asked<T>; readonly children: (data: T) => ReactNode }) {
  const s = useStrings();
  if (of.data !== undefined) {
    return (
      <>
        {of.error !== null && <Failure title={s.failed} error={of.error} retry={() => void of.refetch()} />}
        {children(of.data)}
      </>
    );
  }
  if (of.error !== null) return <Failure title={s.failed} error={of.error} retry={() => void of.refetch()} />;
  return <Loader aria-label={s.loading} />;
}

/** Says what went wrong. */
export function Failure({ title, error, retry }: { readonly title: string; readonly error: unknown; readonly retry?: () => void }) {
  const s = useStrings();
  const { fields, decision } = error instanceof UsherError ? error : { fields: [], decision: undefined };
  return (
    <Alert color="red" role="alert" title={title} mb="md">
      <Text size="sm">{error instanceof Error ? error.message : String(error)}</Text>
      {fields.map((one) => (
        <Text key={one.field} size="sm">
          {one.field}: {one.message}
        </Text>
      ))}
      {(retry !== undefined || decision !== undefined) && (
        <Group mt="sm">
          {retry !== undefined && (
            <Button size="xs" variant="default" onClick={retry}>
              {s.retry}
            </Button>
          )}
          {decision !== undefined && (
            <Link size="sm" to={path('decisions', decision)}>
              {s.decisionOf}
            </Link>
          )}
        </Group>
      )}
    </Alert>
  );
}
