import './console.css';
import { Anchor, Button, Center, Code, CopyButton, Loader, Paper, Text, Title, useComputedColorScheme, useMantineColorScheme } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef, useState, type ReactNode } from 'react';
import { SignedContext } from './context.ts';
import { useStrings } from './i18n.tsx';
import { Clients } from './pages/Clients.tsx';
import { Configuration } from './pages/Configuration.tsx';
import { Decision } from './pages/Decision.tsx';
import { Decisions } from './pages/Decisions.tsx';
import { Health } from './pages/Health.tsx';
import { Inspector } from './pages/Inspector.tsx';
import { Overview } from './pages/Overview.tsx';
import { RoomPage } from './pages/Room.tsx';
import { Rooms } from './pages/Rooms.tsx';
import { Failure } from './parts/Answer.tsx';
import { follow, Link } from './parts/Link.tsx';
import { Page } from './parts/Page.tsx';
import { pages, path, useRoute } from './route.ts';
import { Saying } from './say.tsx';
import { resume, signOut, webConfig, type Signed, type WebConfig } from './session.ts';
import { SignIn } from './SignIn.tsx';

/** What operators see. */
export default function Console() {
  const s = useStrings();
  const config = useQuery({ queryKey: ['web config'], queryFn: webConfig, staleTime: Infinity });
  if (config.data !== undefined) return <Entrance config={config.data} />;
  return (
    <Center component="main" h="100vh" p="md">
      <h1 className="sr-only">{s.title}</h1>
      {config.error === null ? <Loader aria-label={s.loading} /> : <Failure title={s.failed} error={config.error} retry={() => void config.refetch()} />}
    </Center>
  );
}

/** Finds out who is there, and lets in who may. */
function Entrance({ config }: { readonly config: WebConfig }) {
  const s = useStrings();
  const [signed, setSigned] = useState<Signed>();
  const [left, setLeft] = useState(false);
  const resumed = useQuery({
    queryKey: ['resume'],
    queryFn: async () => (await resume(config)) ?? null,
    staleTime: Infinity,
    gcTime: Infinity,
    retry: false,
    refetchOnWindowFocus: false,
  });
  const who = signed ?? (left ? undefined : (resumed.data ?? undefined));
  if (who === undefined && resumed.isPending) {
    return (
      <Center component="main" h="100vh">
        <h1 className="sr-only">{s.title}</h1>
        <Loader aria-label={s.loading} />
      </Center>
    );
  }
  if (who === undefined) return <SignIn config={config} problem={left ? null : resumed.error} onSignedIn={setSigned} />;
  const out = (): void => {
    setSigned(undefined);
    setLeft(true);
    void signOut(config);
  };
  return (
    <SignedContext value={who}>
      <Saying>
        <Shell signed={who} onSignOut={out}>
          {who.isOperator ? <Current /> : <Stranger signed={who} />}
        </Shell>
      </Saying>
    </SignedContext>
  );
}

function Current() {
  const { page, item } = useRoute();
  switch (page) {
    case 'overview':
      return <Overview />;
    case 'rooms':
      return item === undefined ? <Rooms /> : <RoomPage key={item} id={item} />;
    case 'clients':
      return <Clients />;
    case 'decisions':
      return item === undefined ? <Decisions /> : <Decision key={item} id={item} />;
    case 'inspector':
      return <Inspector />;
    case 'configuration':
      return <Configuration />;
    case 'health':
      return <Health />;
    case 'nowhere':
      return <Nowhere />;
  }
}

/** What is shown at an address that is no page's. */
function Nowhere() {
  const s = useStrings();
  return (
    <Page title={s.nowhere.title} lead={s.nowhere.text}>
      <Link to={path('overview')}>{s.nowhere.back}</Link>
    </Page>
  );
}

function Stranger({ signed }: { readonly signed: Signed }) {
  const s = useStrings();
  const line = `operators: ["${signed.key}"]`;
  return (
    <Paper withBorder p="lg" role="alert">
      <Title order={1} size="h2" mb="sm">
        {s.stranger.title}
      </Title>
      <Text mb="sm">{s.stranger.text(signed.name)}</Text>
      <Code block className="wrapped" mb="sm" tabIndex={0}>
        {line}
      </Code>
      <CopyButton value={line}>{({ copied, copy }) => <Button onClick={copy}>{copied ? s.copied : s.copy}</Button>}</CopyButton>
    </Paper>
  );
}

interface ShellProps {
  readonly signed: Signed;
  readonly onSignOut: () => void;
  readonly children: ReactNode;
}

function Shell({ signed, onSignOut, children }: ShellProps) {
  const s = useStrings();
  const { page } = useRoute();
  const nav = useRef<HTMLElement>(null);
  useEffect(() => {
    void nav.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });
  }, [page]);
  return (
    <div className="console">
      <a href="#content" className="skip">
        {s.skip}
      </a>
      <header className="console-head">
        <Anchor href="/" className="brand" aria-label={s.toApp}>
          {s.product}
        </Anchor>
        <span className="brand-page">{s.title}</span>
        <span className="who" title={signed.key}>
          {signed.name}
        </span>
        <Scheme />
        <Button size="xs" variant="default" onClick={onSignOut}>
          {s.signOut}
        </Button>
      </header>
      {signed.isOperator && (
        <nav className="console-nav" ref={nav} aria-label={s.navigation}>
          <ul>
            {pages.map((one) => (
              <li key={one}>
                <a href={path(one)} onClick={follow} aria-current={one === page ? 'page' : undefined}>
                  {s.pages[one]}
                </a>
              </li>
            ))}
          </ul>
        </nav>
      )}
      <main id="content" className="console-main" tabIndex={-1}>
        {children}
      </main>
    </div>
  );
}

/** Changes between light and dark. */
function Scheme() {
  const s = useStrings();
  const { setColorScheme } = useMantineColorScheme();
  const scheme = useComputedColorScheme('light', { getInitialValueInEffect: false });
  const other = scheme === 'dark' ? 'light' : 'dark';
  return (
    <Button size="xs" variant="default" onClick={() => setColorScheme(other)} aria-label={s[other]} title={s[other]} className="scheme">
      <svg viewBox="0 0 24 24" width={16} height={16} aria-hidden fill="currentColor">
        <path d="M12 3a9 9 0 1 0 0 18zM12 3v18a9 9 0 0 0 0-18z" fillOpacity={0.25} />
        <path d="M12 3a9 9 0 0 0 0 18z" />
      </svg>
    </Button>
  );
}
