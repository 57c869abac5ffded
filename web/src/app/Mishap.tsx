import { Button, Stack, Text, Title } from '@mantine/core';
import { Component, type ReactNode } from 'react';
import { useStrings } from '../i18n.tsx';

interface Props {
  readonly children: ReactNode;
}

/** What is shown in place of a page that has an error. */
export class Mishap extends Component<Props, { readonly happened: boolean }> {
  override state = { happened: false };

  static getDerivedStateFromError(): { readonly happened: boolean } {
    return { happened: true };
  }

  override render(): ReactNode {
    return this.state.happened ? <Crashed /> : this.props.children;
  }
}

function Crashed() {
  const s = useStrings();
  return (
    <main className="narrow">
      <Stack role="alert" align="start">
        <Title order={1} size="h2">
          {s.failed.title}
        </Title>
        <Text>{s.failed.crashed}</Text>
        <Button onClick={() => location.reload()}>{s.failed.reload}</Button>
      </Stack>
    </main>
  );
}
