// What the package needs of where it runs, so that tests, and Node.js without a
// WebSocket, can give it something else.

/** A timer that was set. */
export type Timer = ReturnType<typeof globalThis.setTimeout>;

/** The part of the browser's WebSocket that is used. */
export interface Socket {
  readonly readyState: number;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}

/** Opens a WebSocket, as `new WebSocket` does. */
export type SocketConstructor = new (url: string, protocols: string[]) => Socket;

/** Everything outside of the package. All of it can be replaced. */
export interface Environment {
  readonly fetch: typeof globalThis.fetch;
  readonly WebSocket: SocketConstructor | undefined;
  readonly RTCPeerConnection: typeof globalThis.RTCPeerConnection | undefined;
  readonly mediaDevices: MediaDevices | undefined;
  /** The time in milliseconds; only differences of it are used. */
  readonly now: () => number;
  readonly setTimeout: (run: () => void, milliseconds: number) => Timer;
  readonly clearTimeout: (timer: Timer | undefined) => void;
  /** A number from 0 to below 1. */
  readonly random: () => number;
  /** Calls back when the network has returned or the page was woken; returns how to end that. */
  readonly onWake: (wake: () => void) => () => void;
}

/** environment is what is given, and for the rest what globalThis has. */
export function environment(given: Partial<Environment> = {}): Environment {
  const global = globalThis as typeof globalThis & { WebSocket?: SocketConstructor };
  return {
    fetch: (input, init) => global.fetch(input, init),
    WebSocket: global.WebSocket as SocketConstructor | undefined,
    RTCPeerConnection: global.RTCPeerConnection,
    mediaDevices: global.navigator?.mediaDevices,
    now: () => Date.now(),
    setTimeout: (run, milliseconds) => global.setTimeout(run, milliseconds),
    clearTimeout: (timer) => global.clearTimeout(timer),
    random: () => Math.random(),
    onWake,
    ...given,
  };
}

/** randomName is of letters and digits, for ids that nobody guesses twice. */
export function randomName(env: Environment, length: number): string {
  let name = '';
  while (name.length < length) name += Math.floor(env.random() * 36).toString(36);
  return name;
}

function onWake(wake: () => void): () => void {
  if (typeof globalThis.addEventListener !== 'function') return () => {};
  const page = globalThis.document;
  const shown = (): void => {
    if (page.visibilityState === 'visible') wake();
  };
  globalThis.addEventListener('online', wake);
  globalThis.addEventListener('pageshow', wake);
  page?.addEventListener('visibilitychange', shown);
  return () => {
    globalThis.removeEventListener('online', wake);
    globalThis.removeEventListener('pageshow', wake);
    page?.removeEventListener('visibilitychange', shown);
  };
}
