import { Badge } from '@mantine/core';
import type { RecordedEvent } from '@usher/client';
import { useStrings } from '../i18n.tsx';

/** What came of it: in words, and in colour for who sees colours. */
export function Outcome({ event }: { readonly event: RecordedEvent }) {
  const s = useStrings();
  const { decision } = event;
  if (decision === undefined) {
    return <Mark colour="gray">{s.decisions.happened}</Mark>;
  }
  return decision.allowed ? <Mark colour="teal">{s.decisions.allowed}</Mark> : <Mark colour="red">{s.decisions.refusedBy(decision.code ?? '')}</Mark>;
}

/** A state in words, on its colour. */
export function Mark({ colour, children }: { readonly colour: 'teal' | 'red' | 'gray' | 'indigo'; readonly children: string }) {
  return (
    <Badge variant="filled" color={colour} tt="none" autoContrast={false} className={`mark mark-${colour}`}>
      {children}
    </Badge>
  );
}
