import { createContext, useContext } from 'react';
import { en, type Strings } from './strings.ts';

const Language = createContext<Strings>(en);

/** useStrings is the words of the console in the page's language. */
export function useStrings(): Strings {
  return useContext(Language);
}
