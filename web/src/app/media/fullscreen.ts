import { useCallback, useEffect, useState, type RefObject } from 'react';

/** useFullScreen shows an element on the whole screen, where the browser can. */
export function useFullScreen(element: RefObject<HTMLElement | null>): { readonly on: boolean; readonly toggle: () => void } {
  const [on, setOn] = useState(false);
  useEffect(() => {
    const changed = (): void => setOn(document.fullscreenElement !== null);
    document.addEventListener('fullscreenchange', changed);
    return () => {
      document.removeEventListener('fullscreenchange', changed);
      if (document.fullscreenElement !== null) void document.exitFullscreen().catch(() => {}); // it was ended by a key
    };
  }, []);
  const toggle = useCallback(() => {
    const change = document.fullscreenElement === null ? element.current?.requestFullscreen?.() : document.exitFullscreen();
    change?.catch(() => {}); // the browser does not want to
  }, [element]);
  return { on, toggle };
}
