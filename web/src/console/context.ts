import { createContext, useContext } from 'react';
import type { Signed } from './session.ts';

export const SignedContext = createContext<Signed | undefined>(undefined);

/** useSigned is who is signed in. It is for what is shown only then. */
export function useSigned(): Signed {
  const signed = useContext(SignedContext);
  if (signed === undefined) throw new Error('nobody is signed in here');
  return signed;
}
