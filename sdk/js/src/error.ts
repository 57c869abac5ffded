// What went wrong, in one form whoever said it: the API, the socket, the
// browser or this package.

/** What an {@link UsherError} is made of beside its code and message. */
export interface ErrorDetails {
  /** That trying again in the same way can't help. */
  readonly final?: boolean;
  /** The id of a refusal in the server's record, by which an operator can explain it. */
  readonly decision?: string | undefined;
  /** The HTTP status, if there was an answer. */
  readonly status?: number | undefined;
  /** In how many seconds to try again, where the server said so. */
  readonly retryAfter?: number | undefined;
  /** What is wrong with single fields of a request. */
  readonly fields?: readonly FieldProblem[] | undefined;
  /** By which the request is found in the server's log. */
  readonly requestId?: string | undefined;
  /** How a call ended that is over. */
  readonly reason?: string | undefined;
  readonly cause?: unknown;
}

/** What is wrong with one field of a request. */
export interface FieldProblem {
  readonly field: string;
  readonly message: string;
}

/** A failure that a program can tell by its code, and a person by its message. */
export class UsherError extends Error {
  override readonly name = 'UsherError';
  /** That trying again in the same way can't help. */
  readonly final: boolean;
  /** The id of a refusal in the server's record: `usher explain` explains it. */
  readonly decision: string | undefined;
  /** The HTTP status, if there was an answer. */
  readonly status: number | undefined;
  /** In how many seconds to try again, where the server said so. */
  readonly retryAfter: number | undefined;
  /** What is wrong with single fields of the request, for forms. */
  readonly fields: readonly FieldProblem[];
  /** By which the request is found in the server's log. */
  readonly requestId: string | undefined;
  /** With the code call_over: how the call ended, as in its 'ended', where that is known. */
  readonly reason: string | undefined;

  constructor(
    readonly code: string,
    message: string,
    details: ErrorDetails = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.final = details.final ?? false;
    this.decision = details.decision;
    this.status = details.status;
    this.retryAfter = details.retryAfter;
    this.fields = details.fields ?? [];
    this.requestId = details.requestId;
    this.reason = details.reason;
  }
}

/** asUsherError returns an error as it is, or what else was thrown as one that may pass. */
export function asUsherError(thrown: unknown, code: string): UsherError {
  if (thrown instanceof UsherError) return thrown;
  return new UsherError(code, thrown instanceof Error ? thrown.message : String(thrown), { cause: thrown });
}
