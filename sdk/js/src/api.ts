import type { Http } from './http.js';
import type * as wire from './types.js';

/** The native API, as far as a person's client needs it. */
export class Api {
  constructor(readonly http: Http) {}

  /** me is who is calling. */
  me(): Promise<wire.Me> {
    return this.http.json({ method: 'GET', path: ['me'] });
  }

  /** user is the caller as others see them; who is new is entered. */
  user(): Promise<wire.User> {
    return this.http.json({ method: 'GET', path: ['user'] });
  }

  createRoom(room: wire.CreateRoomRequest = {}): Promise<wire.Room> {
    return this.http.json({ method: 'POST', path: ['rooms'], body: room });
  }

  /** room is named by its id or name, here and below. */
  room(room: string): Promise<wire.Room> {
    return this.http.json({ method: 'GET', path: ['rooms', room] });
  }

  rooms(query: wire.PageQuery = {}): Promise<{ readonly rooms: readonly wire.Room[]; readonly next_cursor: string }> {
    return this.http.json({ method: 'GET', path: ['rooms'], query: { ...query } });
  }

  endRoom(room: string, reason = ''): Promise<wire.Room> {
    return this.http.json({ method: 'DELETE', path: ['rooms', room], body: { reason } });
  }

  addParticipant(room: string, participant: wire.AddParticipantRequest = {}): Promise<wire.Invited> {
    return this.http.json({ method: 'POST', path: ['rooms', room, 'participants'], body: participant });
  }

  participants(
    room: string,
    query: wire.PageQuery = {},
  ): Promise<{ readonly participants: readonly wire.Participant[]; readonly next_cursor: string }> {
    return this.http.json({ method: 'GET', path: ['rooms', room, 'participants'], query: { ...query } });
  }

  /** removeParticipant puts a participant out for good; the reason is what it is told. */
  removeParticipant(room: string, participant: string, reason = ''): Promise<wire.Participant> {
    return this.http.json({ method: 'DELETE', path: ['rooms', room, 'participants', participant], body: { reason } });
  }

  createInvite(room: string, invite: wire.CreateInviteRequest = {}): Promise<wire.CreatedInvite> {
    return this.http.json({ method: 'POST', path: ['rooms', room, 'invites'], body: invite });
  }

  revokeInvite(room: string, invite: string): Promise<wire.Invite> {
    return this.http.json({ method: 'DELETE', path: ['rooms', room, 'invites', invite] });
  }

  /** issue has a credential made for a room, once: see {@link Renewing} for one that stays good. */
  issue(room: string, request: wire.CredentialRequest): Promise<wire.Credential> {
    return this.http.json({ method: 'POST', path: ['rooms', room, 'credentials'], body: request });
  }

  iceServers(): Promise<wire.IceServers> {
    return this.http.json({ method: 'GET', path: ['ice-servers'] });
  }

  /** contacts are all whom the caller lists. */
  async contacts(): Promise<readonly wire.Contact[]> {
    const list = await this.http.json<{ readonly contacts: readonly wire.Contact[] }>({ method: 'GET', path: ['contacts'] });
    return list.contacts;
  }

  /** addContact lists somebody by a verified e-mail address or a user's key. */
  addContact(who: { readonly email: string } | { readonly user: string }): Promise<wire.Contact> {
    return this.http.json({ method: 'POST', path: ['contacts'], body: who });
  }

  /** removeContact ends that the caller lists the user of a key. */
  removeContact(key: string): Promise<void> {
    return this.http.json({ method: 'DELETE', path: ['contacts', key] });
  }

  missedCalls(query: wire.PageQuery = {}): Promise<{ readonly calls: readonly wire.MissedCall[]; readonly next_cursor: string }> {
    return this.http.json({ method: 'GET', path: ['calls', 'missed'], query: { ...query } });
  }

  /** acknowledgeCalls takes a missed call and all that are older off the list. */
  acknowledgeCalls(until: string): Promise<void> {
    return this.http.json({ method: 'POST', path: ['calls', 'missed', 'acknowledge'], body: { until } });
  }
}
