import { Container, Title } from '@mantine/core';
import { useStrings } from '../i18n.tsx';

/** The page to call from. */
export default function App() {
  const s = useStrings();
  return (
    <Container component="main" py="xl">
      <Title>{s.name}</Title>
    </Container>
  );
}
