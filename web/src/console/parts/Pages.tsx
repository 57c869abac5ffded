import { Button, Group } from '@mantine/core';
import { useStrings } from '../i18n.tsx';

interface Props {
  readonly cursor: string;
  readonly next: string;
  readonly onChange: (cursor: string) => void;
}

/** Goes through the pages of a list. There is nothing to see where there is one. */
export function Pages({ cursor, next, onChange }: Props) {
  const s = useStrings();
  if (cursor === '' && next === '') return null;
  return (
    <Group mt="md">
      <Button variant="default" disabled={cursor === ''} onClick={() => onChange('')}>
        {s.first}
      </Button>
      <Button variant="default" disabled={next === ''} onClick={() => onChange(next)}>
        {s.next}
      </Button>
    </Group>
  );
}
