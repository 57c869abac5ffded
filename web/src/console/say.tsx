import { Notification } from '@mantine/core';
import { createContext, useCallback, useContext, useState, type ReactNode } from 'react';
import { useStrings } from './i18n.tsx';

const SayContext = createContext<(text: string) => void>(() => undefined);

/** useSay tells people something in passing, screen readers too. */
export function useSay(): (text: string) => void {
  return useContext(SayContext);
}

/** Shows for a while what is said in passing. */
export function Saying({ children }: { readonly children: ReactNode }) {
  const s = useStrings();
  const [said, setSaid] = useState<readonly { readonly id: string; readonly text: string }[]>([]);
  const drop = useCallback((id: string) => setSaid((all) => all.filter((one) => one.id !== id)), []);
  const say = useCallback(
    (text: string) => {
      const id = crypto.randomUUID();
      setSaid((all) => [...all.slice(-2), { id, text }]);
      setTimeout(() => drop(id), 6000);
    },
    [drop],
  );
  return (
    <SayContext value={say}>
      {children}
      <div className="said" role="status" aria-live="polite">
        {said.map(({ id, text }) => (
          <Notification key={id} withBorder onClose={() => drop(id)} closeButtonProps={{ 'aria-label': s.close }}>
            {text}
          </Notification>
        ))}
      </div>
    </SayContext>
  );
}
