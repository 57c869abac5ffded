import { Container, Title } from '@mantine/core';
import { useStrings } from '../i18n.tsx';

/** What operators see. */
export default function Console() {
  const s = useStrings();
  return (
    <Container component="main" py="xl">
      <Title>{s.console.title}</Title>
    </Container>
  );
}
