/** Whether somebody's microphone and camera are on. */
export interface Sends {
  readonly audio: boolean;
  readonly video: boolean;
}

/** sends is what another page has said of itself: it may have said anything. */
export function sends(payload: unknown): Sends {
  const said = (typeof payload === 'object' && payload !== null ? payload : {}) as Partial<Record<keyof Sends, unknown>>;
  return { audio: said.audio !== false, video: said.video !== false };
}
