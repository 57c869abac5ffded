import { UsherError } from '@usher/client';
import type { Strings } from '../strings.ts';

/** explain says what went wrong so that a person can do something about it. */
export function explain(s: Strings, thrown: unknown): string {
  if (!(thrown instanceof UsherError)) return s.failed.unreachable;
  switch (thrown.code) {
    case 'unreachable':
    case 'network':
      return s.failed.unreachable;
    case 'signed_out':
    case 'unauthenticated':
    case 'token_expired':
    case 'expired':
      return s.signIn.expired;
    case 'sign_in_failed':
      return s.signIn.failed;
    case 'user_not_found':
    case 'email_invalid':
      return s.contacts.unknown;
    default:
      return s.room.errors[thrown.code] ?? s.media.problems[thrown.code] ?? thrown.message;
  }
}
