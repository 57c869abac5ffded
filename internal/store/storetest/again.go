package storetest

import (
	"context"

	"usher"
	"usher/internal/store"
)

// Again returns a store that calls every change function twice, as one that
// writes on condition does when it lost a race, and throws the first outcome
// away. What stands above a store is tested on it, to show that its change
// functions are pure.
func Again(db store.DB) store.DB { return againDB{db} }

// again calls change twice and returns the second outcome.
func again[T any](change func(T) (T, error)) func(T) (T, error) {
	return func(old T) (T, error) {
		_, _ = change(old)
		return change(old)
	}
}

type againDB struct{ store.DB }

func (db againDB) Rooms() store.Rooms       { return againRooms{db.DB.Rooms()} }
func (db againDB) Clients() store.Clients   { return againClients{db.DB.Clients()} }
func (db againDB) Keys() store.Keys         { return againKeys{db.DB.Keys()} }
func (db againDB) Invites() store.Invites   { return againInvites{db.DB.Invites()} }
func (db againDB) Stays() store.Stays       { return againStays{db.DB.Stays()} }
func (db againDB) Calls() store.Calls       { return againCalls{db.DB.Calls()} }
func (db againDB) Users() store.Users       { return againUsers{db.DB.Users()} }
func (db againDB) Sessions() store.Sessions { return againSessions{db.DB.Sessions()} }
func (db againDB) Attachments() store.Attachments {
	return againAttachments{db.DB.Attachments()}
}

type againRooms struct{ store.Rooms }

func (s againRooms) Update(ctx context.Context, key usher.RoomKey, change func(usher.Room) (usher.Room, error)) (usher.Room, error) {
	return s.Rooms.Update(ctx, key, again(change))
}

func (s againRooms) Enter(ctx context.Context, p usher.Participant, change func(usher.Room) (usher.Room, error)) (store.Entry, error) {
	return s.Rooms.Enter(ctx, p, again(change))
}

func (s againRooms) Change(ctx context.Context, key usher.ParticipantKey, change func(store.Entry) (store.Entry, error)) (store.Entry, error) {
	return s.Rooms.Change(ctx, key, again(change))
}

type againClients struct{ store.Clients }

func (s againClients) Update(ctx context.Context, id usher.ID, change func(usher.Client) (usher.Client, error)) (usher.Client, error) {
	return s.Clients.Update(ctx, id, again(change))
}

type againKeys struct{ store.Keys }

func (s againKeys) Change(ctx context.Context, change func([]store.Key) ([]store.Key, error)) ([]store.Key, error) {
	return s.Keys.Change(ctx, func(old []store.Key) ([]store.Key, error) {
		_, _ = change(append([]store.Key(nil), old...)) // a slice can be changed in place
		return change(old)
	})
}

type againInvites struct{ store.Invites }

func (s againInvites) Update(ctx context.Context, room usher.RoomKey, id usher.ID, change func(usher.Invite) (usher.Invite, error)) (usher.Invite, error) {
	return s.Invites.Update(ctx, room, id, again(change))
}

type againStays struct{ store.Stays }

func (s againStays) Change(ctx context.Context, key usher.StayKey, change func(usher.Stay) (usher.Stay, error)) (usher.Stay, error) {
	return s.Stays.Change(ctx, key, again(change))
}

type againUsers struct{ store.Users }

func (s againUsers) Update(ctx context.Context, app, key string, change func(usher.User) (usher.User, error)) (usher.User, error) {
	return s.Users.Update(ctx, app, key, again(change))
}

type againCalls struct{ store.Calls }

func (s againCalls) Update(ctx context.Context, key usher.CallKey, change func(usher.Call) (usher.Call, error)) (usher.Call, error) {
	return s.Calls.Update(ctx, key, again(change))
}

type againSessions struct{ store.Sessions }

func (s againSessions) Update(ctx context.Context, token usher.Digest, change func(usher.Session) (usher.Session, error)) (usher.Session, error) {
	return s.Sessions.Update(ctx, token, again(change))
}

type againAttachments struct{ store.Attachments }

func (s againAttachments) Update(ctx context.Context, key usher.AttachmentKey, change func(usher.Attachment) (usher.Attachment, error)) (usher.Attachment, error) {
	return s.Attachments.Update(ctx, key, again(change))
}
