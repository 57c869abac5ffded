import './app.css';
import { Center, Loader, Notification, VisuallyHidden } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { useStrings } from '../i18n.tsx';
import { CallLayer } from './call/CallLayer.tsx';
import { Phone } from './call/phone.ts';
import { knownPerson, MineContext, ServicesContext, useServices } from './context.tsx';
import { Home } from './home/Home.tsx';
import { Devices } from './media/devices.ts';
import { GuestPage } from './room/GuestPage.tsx';
import { RoomPage } from './room/RoomPage.tsx';
import { useRoute } from './route.ts';
import { Session, type Signed } from './session.ts';
import { SignIn } from './SignIn.tsx';
import { useStore } from './store.ts';

/** The page to call from. */
export default function App() {
  const queries = useQueryClient();
  const [session] = useState(() => new Session(() => queries.clear()));
  const [devices] = useState(() => new Devices());
  const { said, say, drop } = useSaid();
  const services = useMemo(() => ({ session, devices, say }), [session, devices, say]);
  useEffect(() => void session.start(), [session]);
  return (
    <ServicesContext value={services}>
      <Page />
      <Announcements said={said} drop={drop} />
    </ServicesContext>
  );
}

interface Said {
  readonly id: number;
  readonly text: string;
}

/** What was said in passing is shown for so long, in milliseconds. */
const shown = 5000;

function useSaid() {
  const [said, setSaid] = useState<readonly Said[]>([]);
  const next = useRef(0);
  const drop = useCallback((id: number) => setSaid((all) => all.filter((one) => one.id !== id)), []);
  const say = useCallback(
    (text: string) => {
      const id = next.current++;
      setSaid((all) => [...all.slice(-2), { id, text }]);
      setTimeout(() => drop(id), shown);
    },
    [drop],
  );
  return { said, say, drop };
}

function Announcements({ said, drop }: { readonly said: readonly Said[]; readonly drop: (id: number) => void }) {
  const s = useStrings();
  return (
    <div className="said" role="status" aria-live="polite">
      {said.map(({ id, text }) => (
        <Notification key={id} withBorder onClose={() => drop(id)} closeButtonProps={{ 'aria-label': s.close }}>
          {text}
        </Notification>
      ))}
    </div>
  );
}

function Page() {
  const s = useStrings();
  const route = useRoute();
  const { session } = useServices();
  const { phase, signed } = useStore(session);
  if (phase === 'starting') {
    return (
      <Center component="main" h="100dvh">
        <VisuallyHidden component="h1">{s.name}</VisuallyHidden>
        <Loader aria-label={s.loading} />
      </Center>
    );
  }
  if (route.page === 'join') return <GuestPage />;
  if (signed === undefined) return <SignIn />;
  if (signed.guestOf !== undefined) return route.page === 'room' && route.room === signed.guestOf ? <RoomPage room={route.room} signed={signed} /> : <SignIn />;
  return <SignedIn signed={signed} />;
}

function SignedIn({ signed }: { readonly signed: Signed }) {
  const route = useRoute();
  const { devices } = useServices();
  const queries = useQueryClient();
  const { client, me, owner, operator } = signed;
  const phone = useMemo(() => new Phone(client, devices, (id) => knownPerson(queries, id)), [client, devices, queries]);
  const resumed = useRef<Phone>(undefined);
  useEffect(() => {
    if (resumed.current === phone) return; // React calls effects twice while one develops
    resumed.current = phone;
    void phone.resume();
  }, [phone]);
  const mine = useMemo(() => ({ client, me, owner, operator, phone }), [client, me, owner, operator, phone]);
  return (
    <MineContext value={mine}>
      <CallLayer>{route.page === 'room' ? <RoomPage key={route.room} room={route.room} signed={signed} /> : <Home />}</CallLayer>
    </MineContext>
  );
}
