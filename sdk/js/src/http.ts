import type { Environment } from './environment.js';
import { asUsherError, UsherError, type FieldProblem } from './error.js';

/** Says who calls: returns a token. fresh asks for another than last time, which was refused or has expired. */
export type SignIn = (wanted: { readonly fresh: boolean }) => string | Promise<string>;

/** One request to the native API. */
export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** The segments of the path after /api/v1, unescaped. */
  readonly path: readonly string[];
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: unknown;
  /** Headers beside those of every call; one that is undefined is left out. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** That the call needs no token. */
  readonly anonymous?: boolean;
}

/** Makes requests in the name of whoever signed in. */
export class Http {
  constructor(
    readonly env: Environment,
    readonly base: string,
    readonly signIn: SignIn,
  ) {}

  /** json makes a call and returns its answer; one without a body is undefined. */
  async json<T>(call: Call): Promise<T> {
    let response = await this.#send(call, false);
    if (response.status === 401 && !call.anonymous) response = await this.#send(call, true);
    if (!response.ok) throw await refusal(response);
    if (response.status === 204) return undefined as T;
    try {
      return (await response.json()) as T;
    } catch (cause) {
      throw new UsherError('answer_invalid', "The answer can't be understood; is this an Usher?", { cause, status: response.status });
    }
  }

  async #send(call: Call, fresh: boolean): Promise<Response> {
    const headers: Record<string, string> = { Accept: 'application/json' };
    for (const [name, value] of Object.entries(call.headers ?? {})) if (value !== undefined) headers[name] = value;
    if (!call.anonymous) headers['Authorization'] = `Bearer ${await this.#token(fresh)}`;
    const init: RequestInit = { method: call.method, headers, cache: 'no-store', credentials: 'omit' };
    if (call.body !== undefined) {
      headers['Content-Type'] = 'application/json';
      init.body = JSON.stringify(call.body);
    }
    try {
      return await this.env.fetch(this.#url(call), init);
    } catch (cause) {
      throw new UsherError('unreachable', "The server can't be reached.", { cause });
    }
  }

  async #token(fresh: boolean): Promise<string> {
    try {
      return await this.signIn({ fresh });
    } catch (thrown) {
      throw asUsherError(thrown, 'sign_in_failed');
    }
  }

  #url(call: Call): string {
    const path = call.path.map((segment) => (/^\.+$/.test(segment) ? segment.replaceAll('.', '%2E') : encodeURIComponent(segment)));
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(call.query ?? {})) if (value !== undefined) query.set(name, String(value));
    return `${this.base}/api/v1/${path.join('/')}${query.size > 0 ? `?${query}` : ''}`;
  }
}

/** retriable are the refusals of the 400s that may pass. */
const retriable = new Set([408, 425, 429]);

async function refusal(response: Response): Promise<UsherError> {
  const { status } = response;
  const after = Number(response.headers.get('Retry-After') ?? Number.NaN);
  const details = {
    status,
    final: status >= 400 && status < 500 && !retriable.has(status),
    retryAfter: Number.isFinite(after) ? after : undefined,
  };
  let problem: unknown;
  try {
    problem = await response.json();
  } catch {
    problem = undefined; // something between us and the server answered in its own form
  }
  const { code, detail, decision, fields, request_id: requestId } = (problem ?? {}) as Record<string, unknown>;
  if (typeof code !== 'string' || typeof detail !== 'string') {
    return new UsherError(`http_${status}`, `The answer was ${status}, not in the form of an Usher.`, details);
  }
  return new UsherError(code, detail, {
    ...details,
    decision: typeof decision === 'string' ? decision : undefined,
    requestId: typeof requestId === 'string' ? requestId : undefined,
    fields: Array.isArray(fields) ? (fields as unknown[]).filter(isFieldProblem) : [],
  });
}

function isFieldProblem(value: unknown): value is FieldProblem {
  const { field, message } = (value ?? {}) as Record<string, unknown>;
  return typeof field === 'string' && typeof message === 'string';
}
