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
  | { readonly kind: 'error'; readonly ref: string | undefined; readonly code: string; readonly text: string; readonly retryAfter: number | undefined; readonly reason: string | undefined }
  | { readonly kind: 'presence'; readonly userId: string; readonly status: Status }
  | { readonly kind: 'contacts' }
  | { readonly kind: 'call'; readonly message: CallEvent }
  | { readonly kind: 'room'; readonly message: RoomEvent }
  | { readonly kind: 'relay'; readonly message: Relayed };

type Fields = Readonly<Record<string, unknown>>;

const calls: ReadonlySet<unknown> = new Set(callActions);
const statuses: ReadonlySet<unknown> = new Set(['online', 'busy', 'away', 'offline']);

const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value);
const areStrings = (of: Fields, ...names: readonly string[]): boolean => names.every((name) => typeof of[name] === 'string');
const isCount = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
const isOptional = (value: unknown, type: 'string' | 'number'): boolean => value === undefined || typeof value === type;
const isList = (value: unknown, is: (item: Fields) => boolean): boolean => Array.isArray(value) && value.every((item) => isFields(item) && is(item));
const areStringsAll = (value: unknown): boolean => Array.isArray(value) && value.every((item) => typeof item === 'string');

/**
 * parse tells what a message of the server is. What is none of them, or not of
 * the form that it should have, is undefined: nothing that comes over a socket
 * may break the page.
 */
export function parse(data: unknown): Incoming | undefined {
  if (typeof data !== 'string') return undefined;
  let raw: unknown;
  try {
    raw = JSON.parse(data);
  } catch {
    return undefined;
  }
  if (!isFields(raw) || typeof raw['action'] !== 'string') return undefined;
  const payload: Fields = isFields(raw['payload']) ? raw['payload'] : {};
  switch (raw['action']) {
    case 'hello':
      return isHello(payload) ? { kind: 'hello', payload } : undefined;
    case 'auth':
      return isCount(payload['expiresIn']) ? { kind: 'auth', expiresIn: payload['expiresIn'] } : undefined;
    case 'pong':
      return { kind: 'pong' };
    case 'ack':
      return areStrings(raw, 'ref') ? { kind: 'ack', message: raw as unknown as Ack } : undefined;
    case 'error':
      return asError(raw, payload);
    case 'presence': {
      const { userId, status } = payload;
      return typeof userId === 'string' && statuses.has(status) ? { kind: 'presence', userId, status: status as Status } : undefined;
    }
    case 'contacts.changed':
      return { kind: 'contacts' };
  }
  if (calls.has(raw['action'])) return isCallEvent(raw) ? { kind: 'call', message: raw } : undefined;
  if (Object.hasOwn(roomPayloads, raw['action'])) return isRoomEvent(raw, payload) ? { kind: 'room', message: raw } : undefined;
  return areStrings(raw, 'from', 'fromConnection') ? { kind: 'relay', message: raw as unknown as Relayed } : undefined;
}

function isHello(payload: unknown): payload is Hello {
  if (!isFields(payload)) return false;
  const { resume, presence } = payload;
  return (
    areStrings(payload, 'userId', 'connection') &&
    isFields(resume) &&
    areStrings(resume, 'token') &&
    isList(presence, (one) => areStrings(one, 'userId') && statuses.has(one['status']))
  );
}

function asError(raw: Fields, { code, message, retryAfter }: Fields): Incoming | undefined {
  if (typeof code !== 'string') return undefined;
  const { reason } = isFields(raw['call']) ? raw['call'] : {};
  return {
    kind: 'error',
    ref: typeof raw['ref'] === 'string' ? raw['ref'] : undefined,
    code,
    text: typeof message === 'string' ? message : code,
    retryAfter: isCount(retryAfter) ? retryAfter : undefined,
    reason: typeof reason === 'string' ? reason : undefined,
  };
}

function isCallEvent(raw: unknown): raw is CallEvent {
  if (!isFields(raw)) return false;
  const { call } = raw;
  return (
    areStrings(raw, 'callId') &&
    isOptional(raw['from'], 'string') &&
    isOptional(raw['seq'], 'number') &&
    isFields(call) &&
    isOptional(call['expiresIn'], 'number') &&
    ['name', 'email', 'reason', 'merged'].every((name) => isOptional(call[name], 'string'))
  );
}

const roomPayloads: Readonly<Record<string, (payload: Fields) => boolean>> = {
  'room.joined': (payload) => areStrings(payload, 'participant', 'role', 'token') && areStringsAll(payload['permissions']),
  'room.roster': (payload) => isList(payload['participants'], (one) => areStrings(one, 'id', 'name', 'role')),
  'room.rights': (payload) => areStrings(payload, 'role') && areStringsAll(payload['permissions']),
  'room.left': (payload) => areStrings(payload, 'reason') && isOptional(payload['message'], 'string'),
};

function isRoomEvent(raw: unknown, payload: Fields): raw is RoomEvent {
  return isFields(raw) && areStrings(raw, 'room') && (roomPayloads[raw['action'] as string]?.(payload) ?? false);
}
