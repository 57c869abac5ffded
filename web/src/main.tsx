import '@mantine/core/styles.css';
import 'virtual:theme.css';
import './base.css';
import { Center, Loader, MantineProvider } from '@mantine/core';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { lazy, StrictMode, Suspense } from 'react';
import { createRoot } from 'react-dom/client';
import { Mishap } from './app/Mishap.tsx';
import { routeOf } from './app/route.ts';
import { useStrings } from './i18n.tsx';
import { theme } from './theme.ts';

/** The pages are loaded apart, so that who calls does not load what operators see. */
const App = lazy(() => import('./app/App.tsx'));
const Console = lazy(() => import('./console/Console.tsx'));
const Nowhere = lazy(() => import('./app/Nowhere.tsx'));

function Waiting() {
  const s = useStrings();
  return (
    <Center h="100vh">
      <Loader aria-label={s.loading} />
    </Center>
  );
}

const isConsole = location.pathname === '/console' || location.pathname.startsWith('/console/');
const Page = isConsole ? Console : routeOf(location.pathname).page === 'nowhere' ? Nowhere : App;
const queries = new QueryClient({ defaultOptions: { queries: { retry: 1, refetchOnWindowFocus: true } } });

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    {/* The theme's variables and Mantine's classes are in files: the content security policy has no inline styles. */}
    <MantineProvider theme={theme} defaultColorScheme="auto" withCssVariables={false} withGlobalClasses={false} deduplicateCssVariables={false}>
      <QueryClientProvider client={queries}>
        <Mishap>
          <Suspense fallback={<Waiting />}>
            <Page />
          </Suspense>
        </Mishap>
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
