// The wire types of the native API that a client uses, as openapi.yaml has them.

/** What a participant may do. */
export type Permission = 'join' | 'subscribe' | 'publish_audio' | 'publish_video' | 'publish_screen' | 'publish_data' | 'moderate';

/** Who may enter a room beside its owner and members. */
export type Admission = 'open' | 'members' | 'invite';

export interface Room {
  readonly id: string;
  readonly name?: string;
  readonly kind: 'permanent' | 'ephemeral';
  readonly status: string;
  readonly owner?: string;
  readonly admission?: Admission;
  /** How many may be in the room at a time; 0 is no limit. */
  readonly seats: number;
  readonly taken: number;
  readonly opens_at?: string;
  readonly closes_at?: string;
  readonly created_at: string;
  readonly updated_at: string;
  readonly ended_at?: string;
  readonly end_reason?: string;
  readonly version: number;
}

export interface CreateRoomRequest {
  /** Makes the room permanent. */
  readonly name?: string;
  readonly admission?: Admission | '';
  readonly seats?: number;
  readonly opens_at?: string;
  readonly closes_at?: string;
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
  readonly role?: string;
  readonly max_uses?: number;
  readonly expires_at?: string;
}

/** A guest, with the token that it calls with. */
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
  readonly id: string;
  readonly call_id: string;
  readonly from: string;
  readonly from_key: string;
  readonly name?: string;
  readonly email?: string;
  readonly request: boolean;
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

/** One page of a list. */
export interface PageQuery {
  readonly limit?: number;
  readonly cursor?: string;
}
