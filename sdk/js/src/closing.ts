// What the end of a socket means: the table of docs/signaling.md.

/** How to come back after a socket has closed. */
export type ComeBack =
  /** Not at all, and why. */
  | { readonly how: 'never'; readonly code: string; readonly message: string }
  /** With the session, or without where it is gone. */
  | { readonly how: 'again'; readonly wait: 'none' | 'jitter' | 'long'; readonly session: 'resume' | 'new'; readonly freshToken: boolean };

const never = (code: string, message: string): ComeBack => ({ how: 'never', code, message });
const again = (wait: 'none' | 'jitter' | 'long', session: 'resume' | 'new', freshToken = false): ComeBack => ({
  how: 'again',
  wait,
  session,
  freshToken,
});

/** afterClose says how to come back from a close code, with the reason that came with it. */
export function afterClose(code: number, reason: string): ComeBack {
  switch (code) {
    case 1000:
      return never('closed', reason || 'The connection was closed.');
    case 1001:
      return again('none', 'resume');
    case 1002:
    case 1003:
    case 1007:
    case 1009:
      return never('protocol_error', reason || `The server does not understand this client (${code}).`);
    case 1011:
    case 1013:
    case 4429:
      return again('long', 'resume');
    case 4401:
      return again('none', 'new', true);
    case 4403:
      return never('forbidden', reason || 'Access was taken away.');
    case 4404:
    case 4406:
      return again('none', 'new');
    case 4409:
      return never('replaced', reason || 'The session goes on elsewhere.');
    default: // 1012, and what was simply lost
      return again('jitter', 'resume');
  }
}
