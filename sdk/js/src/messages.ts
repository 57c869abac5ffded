// The messages of usher.v1: docs/signaling.md, and its JSON Schema.
import type { Permission } from './types.js';

export type Status = 'online' | 'busy' | 'away' | 'offline';

/** What a client sends. to is a user's id, or with room a participant's. */
export interface Outgoing {
  readonly action: string;
  readonly to?: string | undefined;
  readonly toConnection?: string | undefined;
  readonly room?: string | undefined;
  readonly callId?: string | undefined;
  readonly payload?: unknown;
}

export interface Hello {
  readonly userId: string;
  readonly connection: string;
  readonly name?: string;
  readonly expiresIn?: number;
  readonly resume: { readonly token: string; readonly window: number };
  readonly resumed?: boolean;
  readonly limits: { readonly message: number };
  readonly presence: readonly { readonly userId: string; readonly status: Status }[];
}

/** What the server says of a call. */
export interface CallNotice {
  readonly state: 'ringing' | 'accepted' | 'ended';
  readonly name?: string;
  readonly email?: string;
  readonly expiresIn?: number;
  /** The device that answered elsewhere. */
  readonly by?: string;
  readonly reason?: string;
  /** The id of the other invite, where two became one call. */
  readonly merged?: string;
}

/** What happens to calls. */
export const callActions = [
  'call.invite',
  'call.request',
  'call.ringing',
  'call.accept',
  'call.reject',
  'call.cancel',
  'call.busy',
  'call.taken',
  'call.hangup',
  'call.missed',
] as const;

export interface CallEvent {
  readonly action: (typeof callActions)[number];
  readonly from?: string;
  readonly fromConnection?: string;
  readonly ts: number;
  readonly callId: string;
  readonly seq?: number;
  readonly call: CallNotice;
  readonly payload?: unknown;
}

export interface Present {
  readonly id: string;
  readonly name: string;
  readonly role: string;
  readonly guest: boolean;
}

/** Why one is out of a room. */
export type LeftReason = 'left' | 'removed' | 'revoked' | 'room_ended' | 'replaced';

export type RoomEvent =
  | {
      readonly action: 'room.joined';
      readonly ref?: string;
      readonly room: string;
      readonly payload: {
        readonly participant: string;
        readonly role: string;
        readonly permissions: readonly Permission[];
        readonly token: string;
      };
    }
  | { readonly action: 'room.roster'; readonly room: string; readonly payload: { readonly participants: readonly Present[] } }
  | {
      readonly action: 'room.rights';
      readonly room: string;
      readonly payload: { readonly role: string; readonly permissions: readonly Permission[] };
    }
  | { readonly action: 'room.left'; readonly room: string; readonly payload: { readonly reason: LeftReason; readonly message?: string } };

/** What another client sent. */
export interface Relayed {
  readonly action: string;
  readonly from: string;
  readonly fromConnection: string;
  readonly fromParticipant?: string;
  readonly ts: number;
  readonly room?: string;
  readonly callId?: string;
  readonly payload?: unknown;
}

export interface Ack {
  readonly action: 'ack';
  readonly ref: string;
  readonly callId?: string;
  readonly payload?: { readonly state?: string; readonly expiresIn?: number };
}

/** Everything that a server sends, told apart by kind. */
export type Incoming =
  | { readonly kind: 'hello'; readonly payload: Hello }
  | { readonly kind: 'auth'; readonly expiresIn: number }
  | { readonly kind: 'pong' }
  | { readonly kind: 'ack'; readonly message: Ack }
  | { readonly kind: 'error'; readonly ref: string | undefined; readonly code: string; readonly text: string; readonly retryAfter: number | undefined }
  | { readonly kind: 'presence'; readonly userId: string; readonly status: Status }
  | { readonly kind: 'contacts' }
  | { readonly kind: 'call'; readonly message: CallEvent }
  | { readonly kind: 'room'; readonly message: RoomEvent }
  | { readonly kind: 'relay'; readonly message: Relayed };

interface Raw {
  readonly action: string;
  readonly ref?: string;
  readonly payload?: never;
}

const calls: ReadonlySet<string> = new Set(callActions);
const rooms: ReadonlySet<string> = new Set(['room.joined', 'room.roster', 'room.rights', 'room.left']);

/** parse tells what a message of the server is; what is none of them is undefined. */
export function parse(data: unknown): Incoming | undefined {
  if (typeof data !== 'string') return undefined;
  let raw: Raw;
  try {
    raw = JSON.parse(data) as Raw;
  } catch {
    return undefined;
  }
  const payload: unknown = raw?.payload;
  switch (raw?.action) {
    case 'hello':
      return { kind: 'hello', payload: payload as Hello };
    case 'auth':
      return { kind: 'auth', expiresIn: (payload as { readonly expiresIn: number }).expiresIn };
    case 'pong':
      return { kind: 'pong' };
    case 'ack':
      return { kind: 'ack', message: raw as unknown as Ack };
    case 'error': {
      const { code, message, retryAfter } = payload as { readonly code: string; readonly message: string; readonly retryAfter?: number };
      return { kind: 'error', ref: raw.ref, code, text: message, retryAfter };
    }
    case 'presence': {
      const { userId, status } = payload as { readonly userId: string; readonly status: Status };
      return { kind: 'presence', userId, status };
    }
    case 'contacts.changed':
      return { kind: 'contacts' };
  }
  if (typeof raw?.action !== 'string') return undefined;
  if (calls.has(raw.action)) return { kind: 'call', message: raw as unknown as CallEvent };
  if (rooms.has(raw.action)) return { kind: 'room', message: raw as unknown as RoomEvent };
  return { kind: 'relay', message: raw as unknown as Relayed };
}
