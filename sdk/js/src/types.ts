// The wire types of the native API that a client uses, as openapi.yaml has them.

/** What a participant may do. */
export type Permission = 'join' | 'subscribe' | 'publish_audio' | 'publish_video' | 'publish_screen' | 'publish_data' | 'moderate';

/** Who may enter a room beside its owner and members. */
export type Admission = 'open' | 'members' | 'invite';

/** ready: nobody has joined yet; running: somebody has; ended: over for good. */
export type RoomStatus = 'ready' | 'running' | 'ended';

export interface Room {
  readonly id: string;
  /** That of a permanent room. */
  readonly name?: string;
  /** An ephemeral room ends when its last participant has left. */
  readonly kind: 'permanent' | 'ephemeral';
  readonly status: RoomStatus;
  /** The key of who made the room. Participants are not told. */
  readonly owner?: string;
  /** Absent if the room leaves it to the server's configuration. */
  readonly admission?: Admission;
  /** How many may be in the room at a time; 0 is no limit. */
  readonly seats: number;
  readonly taken: number;
  /** Nobody can join before. Times are RFC 3339, in UTC, here and below. */
  readonly opens_at?: string;
  /** When the room ends by itself. */
  readonly closes_at?: string;
  readonly created_at: string;
  readonly updated_at: string;
  readonly ended_at?: string;
  readonly end_reason?: string;
  /** Grows with every change. */
  readonly version: number;
}

export interface CreateRoomRequest {
  /** Makes the room permanent; at most 128 bytes. */
  readonly name?: string;
  /** Empty leaves it to the server's configuration. */
  readonly admission?: Admission | '';
  /** 0 is no limit. */
  readonly seats?: number;
  readonly opens_at?: string;
  readonly closes_at?: string;
}

/** What is left out stays as it is. */
export interface ChangeRoomRequest {
  readonly admission?: Admission | '';
  /** Nobody is put out when seats become fewer. */
  readonly seats?: number;
  readonly opens_at?: string | null;
  readonly closes_at?: string | null;
}

/** How many are in a room on one platform. */
export interface Occupancy {
  readonly platform: string;
  readonly participants?: number;
  /** Why nobody knows, where that is so. */
  readonly problem?: string;
}

export interface Participant {
  readonly id: string;
  readonly room: string;
  readonly status: 'ready' | 'joined' | 'left' | 'removed';
  readonly role: string;
  readonly name?: string;
  readonly identity?: string;
  readonly grant?: string;
  readonly expires_at?: string;
  readonly created_at: string;
  readonly updated_at: string;
  readonly end_reason?: string;
  readonly version: number;
}

/** A participant with the one-time secret that claims its place. */
export interface Invited extends Participant {
  readonly permissions: readonly Permission[];
  readonly clamped: readonly string[];
  readonly secret: string;
}

export interface AddParticipantRequest {
  readonly role?: string;
  /** For how many seconds the place can be used. */
  readonly ttl?: number;
  readonly name?: string;
  readonly for?: string;
}

export interface CredentialRequest {
  readonly platform: string;
  readonly format?: string;
  readonly subject?: string;
  readonly role?: string;
  readonly permissions?: readonly Permission[];
  /** For how many seconds it shall be good. */
  readonly ttl?: number;
}

/** What is good for a while and has to be asked for again; in seconds from when it was given. */
export interface Expiring {
  readonly expires_in: number;
  readonly refresh_in: number;
}

/** Lets its bearer into a room on a platform. */
export interface Credential extends Expiring {
  readonly platform: string;
  readonly room: string;
  readonly token: string;
  readonly url?: string;
  readonly expires_at: string;
  readonly role: string;
  readonly permissions: readonly Permission[];
  readonly clamped: readonly string[];
  readonly grant: string;
  readonly body?: unknown;
}

export interface IceServer {
  readonly urls: string[];
  readonly username: string;
  readonly credential: string;
}

export interface IceServers extends Expiring {
  readonly ice_servers: readonly IceServer[];
  readonly expires_at: string;
  readonly grant: string;
}

export interface Invite {
  readonly id: string;
  readonly room: string;
  readonly role: string;
  readonly uses: number;
  readonly max_uses: number;
  readonly expires_at: string;
  readonly by: string;
  readonly created_at: string;
  readonly revoked_at?: string;
}

/** An invite with its code, which is told once. */
export interface CreatedInvite extends Invite {
  readonly code: string;
}

export interface CreateInviteRequest {
  /** What guests are in the room: speaker if it is left out. No role that may moderate. */
  readonly role?: string;
  /** How often the code can be redeemed; 0 is no limit. */
  readonly max_uses?: number;
  /** Within 90 days, which is the default. */
  readonly expires_at?: string;
}

/** A guest, with the token that it calls with, in this room only. */
export interface Redeemed {
  readonly token: string;
  readonly guest: {
    readonly id: string;
    readonly name: string;
    readonly room: string;
    readonly role: string;
    readonly expires_at: string;
  };
}

/** Somebody with a standing role in a room. */
export interface Member {
  /** The key: user:ISSUER#SUBJECT, client:ID or group:ISSUER#NAME. */
  readonly identity: string;
  readonly room: string;
  readonly role: string;
  /** What people call the member; no guest can take it. */
  readonly name?: string;
  /** The key of who said so last. */
  readonly added_by: string;
  readonly updated_at: string;
}

export interface PutMemberRequest {
  readonly identity: string;
  readonly role: string;
  readonly name?: string;
}

/** Somebody by key, or whoever a participant of the room is. */
export type WhoInRoom = { readonly identity: string } | { readonly participant: string };

export interface Ban {
  readonly id: string;
  readonly room: string;
  readonly identity: string;
  /** The key of who decided it. */
  readonly by: string;
  readonly reason?: string;
  /** When it ends by itself. */
  readonly until?: string;
  readonly created_at: string;
}

export type BanRequest = WhoInRoom & { readonly until?: string; readonly reason?: string };

/** Stands for a token in an address, once and for a short while. */
export interface Ticket {
  readonly ticket: string;
  readonly expires_at: string;
  /** In seconds. */
  readonly expires_in: number;
}

export interface InspectRequest {
  readonly token: string;
  /** The room that it is said to be for, which not every format names. */
  readonly room?: string;
  /** Whom it is said to be for, likewise. */
  readonly subject?: string;
}

export interface Inspection {
  readonly platform: string;
  readonly format: string;
  /** Whether the signature is by a key of the server's. */
  readonly verified: 'good' | 'bad' | 'unknown';
  readonly subject?: string;
  readonly room?: string;
  readonly issued_at?: string;
  readonly expires_at?: string;
  readonly claims?: Readonly<Record<string, unknown>>;
  /** Sentences, the gravest first. */
  readonly problems: readonly string[];
}

export interface User {
  /** What signaling calls the user. */
  readonly id: string;
  readonly key: string;
  readonly email?: string;
  readonly name?: string;
  readonly created_at: string;
  readonly updated_at: string;
}

export interface Contact {
  /** What signaling calls the user. */
  readonly id: string;
  readonly key: string;
  readonly email?: string;
  readonly name?: string;
  readonly online: boolean;
  readonly added_at: string;
}

export interface MissedCall {
  /** Names it in this list. */
  readonly id: string;
  /** What signaling calls the call. */
  readonly call_id: string;
  /** What signaling calls who called. */
  readonly from: string;
  readonly from_key: string;
  readonly name?: string;
  readonly email?: string;
  /** Whether it was a stranger. */
  readonly request: boolean;
  /** Such as invite_timeout, cancelled or user_busy. */
  readonly reason: string;
  readonly invited_at: string;
}

export interface Me {
  readonly kind: 'user' | 'guest' | 'client' | 'local';
  readonly key: string;
  readonly name?: string;
  readonly email?: string;
  readonly groups: readonly string[];
  readonly scopes: readonly string[];
  readonly operator: boolean;
  readonly room?: string;
  readonly role?: string;
  readonly actor?: string;
  readonly expires_at?: string;
}
