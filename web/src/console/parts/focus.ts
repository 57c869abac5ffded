import { useEffect } from 'react';

/** useFocusBack gives the keyboard back to what had it, once dialogs that come and go whole are closed. */
export function useFocusBack(opened: boolean): void {
  useEffect(() => {
    if (!opened) return undefined;
    const before = document.activeElement;
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, [opened]);
}
