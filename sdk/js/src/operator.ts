import type { Http } from './http.js';
import type { Page, PageQuery } from './paging.js';
import type { Permission, User } from './types.js';

/** A registered back end. */
export interface Backend {
  readonly id: string;
  readonly name: string;
  /** In PEM; absent for one with an API key only. */
  readonly public_key?: string;
  readonly has_api_key: boolean;
  readonly scopes: readonly string[];
  /** When it loses all access by itself. */
  readonly expires_at?: string;
  /** When its API key was last used, to the minute or so. */
  readonly last_used_at?: string;
  readonly created_at: string;
  readonly updated_at: string;
  /** Access tokens that were issued earlier are void. */
  readonly not_before?: string;
  readonly revoked_at?: string;
  readonly version: number;
}

/** A back end with its API key, which is told once, if one was made now. */
export interface KeyedBackend extends Backend {
  readonly api_key?: string;
}

/** A back end needs a public key in PEM, an API key, or both. */
export interface AddBackendRequest {
  readonly name: string;
  readonly public_key?: string;
  readonly api_key?: boolean;
  readonly scopes?: readonly string[];
  readonly expires_at?: string;
}

export interface RotateBackendRequest {
  readonly public_key?: string;
  readonly api_key?: boolean;
}

/** What happened. */
export interface RecordedEvent {
  readonly id: string;
  /** decided, claimed, attached, detached, ended, taken, redeemed, called, … */
  readonly type: string;
  readonly at: string;
  /** The identity's key. */
  readonly who?: string;
  readonly name?: string;
  /** The key of the back end that acted for it. */
  readonly actor?: string;
  readonly room?: string;
  readonly participant?: string;
  readonly request_id?: string;
  /** For people. */
  readonly reason?: string;
  readonly decision?: Decision;
}

/** What was decided, and by which rule. */
export interface Decision {
  /** What was asked for, such as room.enter. */
  readonly action: string;
  readonly allowed: boolean;
  readonly rule: string;
  /** The code of a refusal. */
  readonly code?: string;
  readonly role?: string;
  readonly permissions: readonly Permission[];
  readonly not_before?: string;
  readonly expires_at?: string;
  readonly clamped: readonly string[];
  /** How the caller was known; never the token. */
  readonly proof?: string;
}

export interface EventQuery extends PageQuery {
  readonly type?: string;
  /** The id of a room. */
  readonly room?: string;
  /** An identity's key. */
  readonly who?: string;
  /** Only refusals with that code. */
  readonly code?: string;
  /** Which comes first; a cursor is good for its own order only. */
  readonly order?: 'oldest' | 'newest';
  /** Only refusals. */
  readonly refused?: boolean;
  /** Only what has that text in it. */
  readonly search?: string;
  readonly since?: string;
  readonly until?: string;
}

/** A page of the record, and where to go on, now or later. */
export interface EventPage {
  readonly events: readonly RecordedEvent[];
  readonly next_cursor: string;
  readonly more: boolean;
}

/** An entry of the record as a person is told it. */
export interface Explanation {
  readonly event: RecordedEvent;
  readonly sentences: readonly string[];
}

/** A sample of what the server's metrics say. Rates are per second since the sample before. */
export interface Figure {
  readonly at: string;
  /** People's connections to the signaling. */
  readonly sockets: number;
  /** Connections in rooms, by whatever protocol. */
  readonly connections: number;
  readonly rooms: number;
  readonly participants: number;
  /** Credentials that were minted, by platform. */
  readonly tokens: Readonly<Record<string, number>>;
  /** What was refused, by the code. */
  readonly refusals: Readonly<Record<string, number>>;
  readonly requests: number;
  /** How many seconds answers took; zero where there was no request. */
  readonly latency: { readonly p50: number; readonly p95: number; readonly p99: number };
}

/** A short history of the server's metrics, the oldest sample first. */
export interface Figures {
  /** How many seconds lie between two samples. */
  readonly every: number;
  readonly samples: readonly Figure[];
  /** How many there were since the server started. */
  readonly tokens: Readonly<Record<string, number>>;
  readonly refusals: Readonly<Record<string, number>>;
}

/** How something is that the server depends on. */
export interface HealthCheck {
  readonly kind: 'store' | 'platform' | 'issuer' | 'webhook' | 'certificate';
  readonly name: string;
  /** silent is what is configured and can't be asked. */
  readonly state: 'well' | 'failing' | 'silent';
  /** Why it is failing. */
  readonly message?: string;
  readonly checked_at: string;
  readonly took_ms: number;
}

/** One value of the configuration that is in force. */
export interface Setting {
  readonly key: string;
  /** Its text, or YAML; a placeholder stands for every secret. */
  readonly value: string;
  readonly secret: boolean;
  /** Where it was given; absent for a default. */
  readonly source?: string;
  readonly doc: string;
}

/** Names exactly one of grant, identity, client and room. */
export interface RevokeRequest {
  readonly grant?: string;
  readonly identity?: string;
  readonly client?: string;
  /** The room's id or name. */
  readonly room?: string;
  /** Voids what was issued earlier; left out, it is now. */
  readonly before?: string;
  /** Voids also what would be issued later. */
  readonly forever?: boolean;
  readonly reason?: string;
}

/** Something that was taken away. */
export interface Taking {
  readonly seq: number;
  readonly id: string;
  readonly kind: 'revocation' | 'ban' | 'unban' | 'change';
  readonly grant?: string;
  readonly identity?: string;
  readonly client?: string;
  readonly room?: string;
  readonly before?: string;
  readonly forever?: boolean;
  readonly until?: string;
  readonly by: string;
  readonly reason?: string;
  readonly created_at: string;
}

/** Who else is told of what happens, and up to where. */
export interface Webhook {
  readonly name: string;
  readonly host: string;
  /** The types of event that it is told of; none is all. */
  readonly events: readonly string[];
  /** Up to where it was told of the record, but for the rooms that are held back. */
  readonly cursor: string;
  readonly held: readonly string[];
  readonly failing_since?: string;
  readonly failure?: string;
  readonly delivered_at?: string;
}

/** What a platform has yet to do: put somebody out, or close a room. */
export interface Ejection {
  readonly platform: string;
  readonly room: string;
  readonly identity?: string;
  readonly subject?: string;
  readonly participant?: string;
  readonly since: string;
  readonly reason: string;
  readonly expires_at?: string;
  readonly next_at: string;
  /** How often it was asked in vain. */
  readonly attempts: number;
  readonly failure?: string;
  readonly ejected_at?: string;
}

export interface SigningKey {
  readonly kid: string;
  readonly algorithm: string;
  readonly state: 'next' | 'current' | 'retired';
  readonly created_at: string;
  /** Until when a retired key is accepted. */
  readonly not_after?: string;
}

/** The part of the native API that is for operators: `new Operator(client.api.http)`. Others are refused. */
export class Operator {
  constructor(readonly http: Http) {}

  backends(query: PageQuery = {}): Promise<Page<'clients', Backend>> {
    return this.http.json({ method: 'GET', path: ['clients'], query: { ...query } });
  }

  backend(id: string): Promise<Backend> {
    return this.http.json({ method: 'GET', path: ['clients', id] });
  }

  addBackend(backend: AddBackendRequest): Promise<KeyedBackend> {
    return this.http.json({ method: 'POST', path: ['clients'], body: backend });
  }

  /** rotateBackend replaces keys: a public key stays if no new one is given, an API key does not. */
  rotateBackend(id: string, keys: RotateBackendRequest): Promise<KeyedBackend> {
    return this.http.json({ method: 'POST', path: ['clients', id, 'rotate'], body: keys });
  }

  /** revokeBackend takes all access away for good, also that of the guests it invited. */
  revokeBackend(id: string): Promise<Backend> {
    return this.http.json({ method: 'DELETE', path: ['clients', id] });
  }

  users(query: PageQuery & { readonly email?: string } = {}): Promise<Page<'users', User>> {
    return this.http.json({ method: 'GET', path: ['users'], query: { ...query } });
  }

  user(key: string): Promise<User> {
    return this.http.json({ method: 'GET', path: ['users', key] });
  }

  eraseUser(key: string): Promise<void> {
    return this.http.json({ method: 'DELETE', path: ['users', key] });
  }

  /** events reads the record from its beginning, or from a cursor on. */
  events({ refused, ...query }: EventQuery = {}): Promise<EventPage> {
    return this.http.json({ method: 'GET', path: ['events'], query: { ...query, refused: refused ? 'true' : undefined } });
  }

  /** decision explains a refusal by the id that its error has. */
  decision(id: string): Promise<RecordedEvent> {
    return this.http.json({ method: 'GET', path: ['decisions', id] });
  }

  /** explanation is the same in sentences. */
  explanation(id: string): Promise<Explanation> {
    return this.http.json({ method: 'GET', path: ['decisions', id, 'explanation'] });
  }

  /** figures are a short history of the server's metrics. */
  figures(): Promise<Figures> {
    return this.http.json({ method: 'GET', path: ['figures'] });
  }

  /** health asks how everything is that the server depends on. */
  async health(): Promise<readonly HealthCheck[]> {
    const list = await this.http.json<{ readonly checks: readonly HealthCheck[] }>({ method: 'GET', path: ['health'] });
    return list.checks;
  }

  /** configuration is every setting in force, without its secrets. */
  async configuration(): Promise<readonly Setting[]> {
    const list = await this.http.json<{ readonly settings: readonly Setting[] }>({ method: 'GET', path: ['configuration'] });
    return list.settings;
  }

  /** revoke voids what was issued. */
  revoke(request: RevokeRequest): Promise<Taking> {
    return this.http.json({ method: 'POST', path: ['revocations'], body: request });
  }

  revocations(query: PageQuery = {}): Promise<Page<'revocations', Taking>> {
    return this.http.json({ method: 'GET', path: ['revocations'], query: { ...query } });
  }

  async ejections(): Promise<readonly Ejection[]> {
    const list = await this.http.json<{ readonly ejections: readonly Ejection[] }>({ method: 'GET', path: ['ejections'] });
    return list.ejections;
  }

  async webhooks(): Promise<readonly Webhook[]> {
    const list = await this.http.json<{ readonly webhooks: readonly Webhook[] }>({ method: 'GET', path: ['webhooks'] });
    return list.webhooks;
  }

  /** replayWebhook tells a target again, from a cursor of the record on, or from `begin` or `end`. */
  replayWebhook(name: string, from: string): Promise<Webhook> {
    return this.http.json({ method: 'POST', path: ['webhooks', name, 'replay'], body: { from } });
  }

  async keys(): Promise<readonly SigningKey[]> {
    const list = await this.http.json<{ readonly keys: readonly SigningKey[] }>({ method: 'GET', path: ['keys'] });
    return list.keys;
  }

  rotateKeys(): Promise<SigningKey> {
    return this.http.json({ method: 'POST', path: ['keys', 'rotate'] });
  }

  /** retireKey voids a key, and all that it signed, at once. */
  retireKey(kid: string): Promise<void> {
    return this.http.json({ method: 'DELETE', path: ['keys', kid] });
  }
}
