import type { Http } from './http.js';
import type { Page, PageQuery } from './paging.js';
import type * as wire from './types.js';

/**
 * The native API, as far as a person's client needs it. What fails, fails with
 * an UsherError: a refusal has the server's code, and the id of the decision.
 * Lists come in pages: see each and all. Rooms are named by id or name.
 */
export class Api {
  constructor(readonly http: Http) {}

  /** me is who is calling, also a guest. */
  me(): Promise<wire.Me> {
    return this.http.json({ method: 'GET', path: ['me'] });
  }

  /** user is the caller as others see them; who is new is entered, and can be found by a verified e-mail address from then on. */
  user(): Promise<wire.User> {
    return this.http.json({ method: 'GET', path: ['user'] });
  }

  /** eraseUser deletes what is kept of the caller: name and address, contacts, missed calls. */
  eraseUser(): Promise<void> {
    return this.http.json({ method: 'DELETE', path: ['user'] });
  }

  /**
   * createRoom makes a room that belongs to the caller. With an idempotency key,
   * which the app chooses, a request that is sent again makes no second room.
   */
  createRoom(room: wire.CreateRoomRequest = {}, options: { readonly idempotencyKey?: string } = {}): Promise<wire.Room> {
    return this.http.json({ method: 'POST', path: ['rooms'], body: room, headers: { 'Idempotency-Key': options.idempotencyKey } });
  }

  room(room: string): Promise<wire.Room> {
    return this.http.json({ method: 'GET', path: ['rooms', room] });
  }

  /** rooms are those that the caller made, and for an operator all, the oldest first. */
  rooms(query: PageQuery & { readonly status?: wire.RoomStatus; readonly search?: string } = {}): Promise<Page<'rooms', wire.Room>> {
    return this.http.json({ method: 'GET', path: ['rooms'], query: { ...query } });
  }

  /**
   * changeRoom changes what is named and leaves the rest; null takes a time away.
   * With a version it fails with the code room_changed if the room is another by now.
   */
  changeRoom(room: string, change: wire.ChangeRoomRequest, options: { readonly version?: number } = {}): Promise<wire.Room> {
    const { version } = options;
    const headers = { 'If-Match': version === undefined ? undefined : `"${version}"` };
    return this.http.json({ method: 'PATCH', path: ['rooms', room], body: change, headers });
  }

  /** endRoom ends a room for good and puts everyone out; the reason, at most 123 bytes, is what they are told. */
  endRoom(room: string, reason = ''): Promise<wire.Room> {
    return this.http.json({ method: 'DELETE', path: ['rooms', room], body: { reason } });
  }

  /** occupancy is how many are in the room on each platform. */
  async occupancy(room: string): Promise<readonly wire.Occupancy[]> {
    const list = await this.http.json<{ readonly platforms: readonly wire.Occupancy[] }>({ method: 'GET', path: ['rooms', room, 'occupancy'] });
    return list.platforms;
  }

  /** addParticipant makes a place, which whoever has its secret can claim once. */
  addParticipant(room: string, participant: wire.AddParticipantRequest = {}): Promise<wire.Invited> {
    return this.http.json({ method: 'POST', path: ['rooms', room, 'participants'], body: participant });
  }

  /** participants are all that the room has had, those included who have left. Who is there now is the roster of a RoomLink. */
  participants(room: string, query: PageQuery & { readonly status?: wire.Participant['status']; readonly search?: string } = {}): Promise<Page<'participants', wire.Participant>> {
    return this.http.json({ method: 'GET', path: ['rooms', room, 'participants'], query: { ...query } });
  }

  participant(room: string, participant: string): Promise<wire.Participant> {
    return this.http.json({ method: 'GET', path: ['rooms', room, 'participants', participant] });
  }

  /** removeParticipant puts a participant out for good; the reason is what it is told. */
  removeParticipant(room: string, participant: string, reason = ''): Promise<wire.Participant> {
    return this.http.json({ method: 'DELETE', path: ['rooms', room, 'participants', participant], body: { reason } });
  }

  /** renewSecret voids the secret of a participant that has not joined, and makes another. */
  renewSecret(room: string, participant: string): Promise<wire.Invited> {
    return this.http.json({ method: 'POST', path: ['rooms', room, 'participants', participant, 'secret'] });
  }

  /** members are those with a standing role in the room. */
  members(room: string, query: PageQuery = {}): Promise<Page<'members', wire.Member>> {
    return this.http.json({ method: 'GET', path: ['rooms', room, 'members'], query: { ...query } });
  }

  /** putMember gives somebody, named by key, a standing role, or another one. */
  putMember(room: string, member: wire.PutMemberRequest): Promise<wire.Member> {
    return this.http.json({ method: 'PUT', path: ['rooms', room, 'members'], body: member });
  }

  /** removeMember ends a membership. It puts nobody out who is there: for that, remove the participant or ban the identity. */
  removeMember(room: string, key: string): Promise<void> {
    return this.http.json({ method: 'DELETE', path: ['rooms', room, 'members', key] });
  }

  /** createInvite makes a code that lets guests in; pass it on in the fragment of a link. It is told only in this answer. */
  createInvite(room: string, invite: wire.CreateInviteRequest = {}): Promise<wire.CreatedInvite> {
    return this.http.json({ method: 'POST', path: ['rooms', room, 'invites'], body: invite });
  }

  /** invites are all of the room, those included that are over, without their codes. */
  invites(room: string, query: PageQuery = {}): Promise<Page<'invites', wire.Invite>> {
    return this.http.json({ method: 'GET', path: ['rooms', room, 'invites'], query: { ...query } });
  }

  /** revokeInvite ends an invite. Guests who came by it stay. */
  revokeInvite(room: string, invite: string): Promise<wire.Invite> {
    return this.http.json({ method: 'DELETE', path: ['rooms', room, 'invites', invite] });
  }

  /** bans are those in force, the oldest first. */
  bans(room: string, query: PageQuery = {}): Promise<Page<'bans', wire.Ban>> {
    return this.http.json({ method: 'GET', path: ['rooms', room, 'bans'], query: { ...query } });
  }

  /** ban keeps an identity, or that of a participant, out of the room, and puts out whatever it has there. */
  ban(room: string, ban: wire.BanRequest): Promise<wire.Ban> {
    return this.http.json({ method: 'POST', path: ['rooms', room, 'bans'], body: ban });
  }

  /** unban lifts a ban by its id. */
  unban(room: string, ban: string): Promise<void> {
    return this.http.json({ method: 'DELETE', path: ['rooms', room, 'bans', ban] });
  }

  /** unbanIdentity lifts the ban of an identity, or that of a participant. */
  unbanIdentity(room: string, who: wire.WhoInRoom): Promise<void> {
    return this.http.json({ method: 'DELETE', path: ['rooms', room, 'bans'], body: who });
  }

  /** issue has a credential made for a room, once: see {@link Renewing} for one that stays good. */
  issue(room: string, request: wire.CredentialRequest): Promise<wire.Credential> {
    return this.http.json({ method: 'POST', path: ['rooms', room, 'credentials'], body: request });
  }

  /** inspect says what a token of any platform is, and what is wrong with it. */
  inspect(request: wire.InspectRequest): Promise<wire.Inspection> {
    return this.http.json({ method: 'POST', path: ['credentials', 'inspect'], body: request });
  }

  /** iceServers are the STUN and TURN servers, with a credential; platform_not_configured where the server has none. */
  iceServers(): Promise<wire.IceServers> {
    return this.http.json({ method: 'GET', path: ['ice-servers'] });
  }

  /** ticket stands for a token in the address of one connection, for clients that can't authenticate in a message. */
  ticket(): Promise<wire.Ticket> {
    return this.http.json({ method: 'POST', path: ['signal', 'ticket'] });
  }

  /** contacts are all whom the caller lists. */
  async contacts(): Promise<readonly wire.Contact[]> {
    const list = await this.http.json<{ readonly contacts: readonly wire.Contact[] }>({ method: 'GET', path: ['contacts'] });
    return list.contacts;
  }

  /** addContact lists somebody who was here before, by a verified e-mail address or a user's key; user_not_found if there is none. */
  addContact(who: { readonly email: string } | { readonly user: string }): Promise<wire.Contact> {
    return this.http.json({ method: 'POST', path: ['contacts'], body: who });
  }

  /** removeContact ends that the caller lists the user of a key. */
  removeContact(key: string): Promise<void> {
    return this.http.json({ method: 'DELETE', path: ['contacts', key] });
  }

  /** missedCalls are those that were not acknowledged, the newest first. */
  missedCalls(query: PageQuery = {}): Promise<Page<'calls', wire.MissedCall>> {
    return this.http.json({ method: 'GET', path: ['calls', 'missed'], query: { ...query } });
  }

  /** acknowledgeCalls takes a missed call, by its id, and all that are older off the list. */
  acknowledgeCalls(until: string): Promise<void> {
    return this.http.json({ method: 'POST', path: ['calls', 'missed', 'acknowledge'], body: { until } });
  }
}
