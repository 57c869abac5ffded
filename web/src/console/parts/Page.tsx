import { Text, Title } from '@mantine/core';
import { useEffect, useRef, type ReactNode } from 'react';
import { useStrings } from '../i18n.tsx';

interface Props {
  readonly title: string;
  readonly lead?: string;
  /** What stands beside the title. */
  readonly aside?: ReactNode;
  readonly children: ReactNode;
}

/** A page of the console. Its title is where the keyboard goes on after a change of page. */
export function Page({ title, lead, aside, children }: Props) {
  const s = useStrings();
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · ${s.product}`;
    if (document.activeElement !== document.body && document.activeElement !== null) heading.current?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [title, s.product]);
  return (
    <>
      <div className="page-head">
        <div>
          <Title order={1} size="h2" tabIndex={-1} ref={heading} className="page-title">
            {title}
          </Title>
          {lead !== undefined && <Text c="dimmed">{lead}</Text>}
        </div>
        {aside}
      </div>
      {children}
    </>
  );
}
