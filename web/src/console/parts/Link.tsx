import { Anchor, type AnchorProps } from '@mantine/core';
import type { MouseEvent, ReactNode } from 'react';
import { go } from '../route.ts';

/** follow shows another page of the console without loading it anew, unless a new window is asked for. */
export function follow(event: MouseEvent<HTMLAnchorElement>): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  go(event.currentTarget.pathname + event.currentTarget.search);
}

interface Props extends AnchorProps {
  readonly to: string;
  readonly children: ReactNode;
  readonly 'aria-label'?: string;
}

/** A link to another page of the console. */
export function Link({ to, children, ...rest }: Props) {
  return (
    <Anchor href={to} onClick={follow} {...rest}>
      {children}
    </Anchor>
  );
}
