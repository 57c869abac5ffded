import { Paper, Title, VisuallyHidden } from '@mantine/core';
import { useEffect, type ReactNode } from 'react';
import { useStrings } from '../../i18n.tsx';
import { Contacts } from './Contacts.tsx';
import { Header } from './Header.tsx';
import { Missed } from './Missed.tsx';
import { Rooms } from './Rooms.tsx';

/** Whom one can call, where one can meet, and what one has missed. */
export function Home() {
  const s = useStrings();
  useEffect(() => {
    document.title = s.name;
  }, [s]);
  return (
    <>
      <Header />
      <main className="home">
        <VisuallyHidden component="h1">{s.name}</VisuallyHidden>
        <Contacts />
        <div className="home-side">
          <Rooms />
          <Missed />
        </div>
      </main>
    </>
  );
}

/** A part of the page with its heading, and what can be done beside it. */
export function Card({ title, beside, children }: { readonly title: string; readonly beside?: ReactNode; readonly children: ReactNode }) {
  return (
    <Paper component="section" aria-label={title} withBorder p="md" shadow="xs">
      <div className="card-head">
        <Title order={2} size="h4">
          {title}
        </Title>
        {beside}
      </div>
      {children}
    </Paper>
  );
}
