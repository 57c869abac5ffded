import './app.css';
import { Button, Stack, Text, Title } from '@mantine/core';
import { useEffect } from 'react';
import { useStrings } from '../i18n.tsx';
import icon from '../icon.svg';

/** What is shown at an address that is no page's. */
export default function Nowhere() {
  const s = useStrings();
  useEffect(() => {
    document.title = `${s.nowhere.title} · ${s.name}`;
  }, [s]);
  return (
    <main className="narrow">
      <Stack align="start">
        <Text fw={700} size="lg" className="brand" component="div">
          <img src={icon} alt="" width={24} height={24} />
          {s.name}
        </Text>
        <Title order={1} size="h2">
          {s.nowhere.title}
        </Title>
        <Text>{s.nowhere.text}</Text>
        <Button component="a" href="/">
          {s.back}
        </Button>
      </Stack>
    </main>
  );
}
