import { useQuery } from '@tanstack/react-query';
import { useSigned } from '../context.ts';

interface Props {
  /** The key of an identity. */
  readonly of: string | undefined;
  /** That the key stands beside the name. */
  readonly whole?: boolean;
}

/** Whose something is: by name where the directory knows one, else by key. */
export function Owner({ of, whole = false }: Props) {
  const { operator } = useSigned();
  const isPerson = of?.startsWith('user:') ?? false;
  const user = useQuery({ queryKey: ['user', of], queryFn: () => operator.user(of ?? ''), enabled: isPerson, staleTime: Infinity, retry: false });
  const name = user.data?.name || user.data?.email;
  if (of === undefined) return '–';
  if (name === undefined) return <code>{of}</code>;
  return (
    <>
      <span title={of}>{name}</span>
      {whole && (
        <>
          {' '}
          <code>{of}</code>
        </>
      )}
    </>
  );
}
