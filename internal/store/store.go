// Package store is the contract between Usher and what keeps its state: one
// small interface for each aggregate, in the types of package usher.
//
// What the contract asks of a back end is deliberately little, so that SQLite,
// PostgreSQL and DynamoDB can all satisfy it (package storetest proves it):
//
//   - A write that returned nil is durable. A write that returned an error
//     changed nothing, except that after a context's end, a lost connection or
//     [ErrUnavailable] the caller can't know and must be able to ask again.
//   - Change functions are pure and may be called more than once; an error from
//     one is returned unchanged, and nothing is written.
//   - What a change function returns as it was is not written. What differs
//     gets the old Version and one, whatever the function made of it; its key
//     can't change.
//   - There is no general transaction. What must change together is one
//     aggregate, or a room with one of its participants: [Rooms.Change].
//   - Nothing expires by itself: what must happen at a time has a Due column,
//     and a sweeper asks for it.
//   - Times are UTC with microseconds; what is finer is cut off.
//   - A limit of 0 or less is no limit.
package store

import (
	"context"
	"errors"
	"time"

	"usher"
)

// The errors that every store answers with, alone or wrapped.
var (
	// ErrNotFound: there is no such record.
	ErrNotFound = errors.New("not found")
	// ErrExists: a record with that key, or that unique name, is already there.
	ErrExists = errors.New("already exists")
	// ErrUnchanged is returned by a change function to say that all is well as
	// it stands: nothing is written, and the caller gets the records and no error.
	ErrUnchanged = errors.New("unchanged")
	// ErrDelete is returned by a change function to have the record deleted, where
	// the contract says that it can.
	ErrDelete = errors.New("delete the record")
	// ErrNotEnded: it can be forgotten only when it has ended.
	ErrNotEnded = errors.New("has not ended")
	// ErrFull: there may be no more of them.
	ErrFull = errors.New("full")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("store is closed")
)

// The errors of a store that can't serve for now, whose codes callers are told;
// the sentence is each store's own. [errors.Is] finds them by their codes.
var (
	// ErrNoRoom: the disk is full. Nothing was changed.
	ErrNoRoom = usher.Errorf(usher.Unavailable, "storage_full", "The server's disk is full.")
	// ErrUnavailable: the disk fails, or the database does not answer. A write may
	// have been done all the same.
	ErrUnavailable = usher.Errorf(usher.Unavailable, "storage_unavailable", "The server's database can't be used.")
)

// Away reports whether an error is one of a store that can't serve for now.
func Away(err error) bool { return errors.Is(err, ErrNoRoom) || errors.Is(err, ErrUnavailable) }

// DB is an open store.
type DB interface {
	Rooms() Rooms
	Clients() Clients
	Keys() Keys
	Once() Once
	Members() Members
	Invites() Invites
	Users() Users
	Contacts() Contacts
	Calls() Calls
	Takings() Takings
	Stays() Stays
	Record() Record
	Sessions() Sessions
	Attachments() Attachments
	Documents() Documents
	// Ping fails when the store can't serve.
	Ping(ctx context.Context) error
	// Close waits for the writes that were accepted, and closes the store.
	Close() error
}

// Rooms keeps rooms together with their participants.
type Rooms interface {
	// Create adds a room. It returns ErrExists if the id is taken, or the name
	// by a room that has not ended.
	Create(ctx context.Context, room usher.Room) error
	// Get returns ErrNotFound if there is no such room.
	Get(ctx context.Context, key usher.RoomKey) (usher.Room, error)
	// ByName finds the room of that name that has not ended.
	ByName(ctx context.Context, app, name string) (usher.Room, error)
	// List returns rooms by the time they were made, the oldest first.
	List(ctx context.Context, q RoomQuery) ([]usher.Room, error)
	// Update changes one room, and nothing of its participants.
	Update(ctx context.Context, key usher.RoomKey, change func(usher.Room) (usher.Room, error)) (usher.Room, error)

	// Enter adds a participant, if change, which is given the room, allows it:
	// a participant can't be added to a room that ends at the same time. The
	// returned entry holds both as they are now.
	// It returns ErrNotFound without a room and ErrExists if the id is taken.
	Enter(ctx context.Context, p usher.Participant, change func(usher.Room) (usher.Room, error)) (Entry, error)
	// Participant returns one participant and its room, as of one moment.
	Participant(ctx context.Context, key usher.ParticipantKey) (Entry, error)
	// Participants returns a room's participants by the time they were made. It
	// returns ErrNotFound without a room.
	Participants(ctx context.Context, q ParticipantQuery) ([]usher.Participant, error)
	// Change changes a participant and its room in one atomic step: the secret
	// is consumed and the seat taken together, or neither is.
	Change(ctx context.Context, key usher.ParticipantKey, change func(Entry) (Entry, error)) (Entry, error)

	// DueRooms returns rooms whose Due is set and not after now, the longest
	// overdue first.
	DueRooms(ctx context.Context, now time.Time, limit int) ([]usher.RoomKey, error)
	// DueParticipants does the same for participants by HeldUntil.
	DueParticipants(ctx context.Context, now time.Time, limit int) ([]usher.ParticipantKey, error)
	// Stranded returns participants that are held by a socket of any node but
	// the given ones: those of a process that is no more.
	Stranded(ctx context.Context, alive []usher.ID, limit int) ([]usher.ParticipantKey, error)

	// Ended returns rooms that ended before then, those that did so first at the
	// beginning.
	Ended(ctx context.Context, before time.Time, limit int) ([]usher.RoomKey, error)
	// Forget deletes a room that has ended, with its participants, members,
	// invites and document. It returns ErrNotFound without a room, and
	// ErrNotEnded. After any other error some of that may be gone, and the room
	// be there, to be forgotten again.
	Forget(ctx context.Context, key usher.RoomKey) error
}

// Entry is a participant and its room.
type Entry struct {
	Room        usher.Room
	Participant usher.Participant
}

// RoomQuery selects a page of rooms.
type RoomQuery struct {
	App string
	// Owner restricts the list to the rooms of one owner, if not empty.
	Owner string
	// Status restricts the list to rooms of one status, if not empty.
	Status usher.RoomStatus
	// After is the last id of the page before. It need not exist any more.
	After usher.ID
	Limit int
}

// ParticipantQuery selects a page of a room's participants.
type ParticipantQuery struct {
	Room usher.RoomKey
	// Status restricts the list to participants of one status, if not empty.
	Status usher.ParticipantStatus
	After  usher.ID
	Limit  int
}

// Clients keeps the registered back ends.
type Clients interface {
	// Create returns ErrExists if the id is taken, or the name by a client that
	// is not revoked.
	Create(ctx context.Context, c usher.Client) error
	Get(ctx context.Context, id usher.ID) (usher.Client, error)
	// List returns all clients by the time they were made.
	List(ctx context.Context) ([]usher.Client, error)
	Update(ctx context.Context, id usher.ID, change func(usher.Client) (usher.Client, error)) (usher.Client, error)
}

// KeyState is where a signing key is in its life.
type KeyState string

// The states of a signing key. All three are published, so that a verifier
// knows a key before it signs and for as long as what it signed is valid.
const (
	NextKey    KeyState = "next"
	CurrentKey KeyState = "current"
	RetiredKey KeyState = "retired"
)

// Key is one of our own signing keys. The store never sees the private half
// in clear.
type Key struct {
	ID        usher.ID // the kid
	Algorithm string   // as in JWS: EdDSA, ES256
	State     KeyState
	Sealed    []byte // the private key, encrypted by package keys
	// NotAfter is when a retired key is no longer published; zero before that.
	NotAfter  time.Time
	UpdatedAt time.Time
}

// Keys keeps our signing keys.
type Keys interface {
	List(ctx context.Context) ([]Key, error)
	// Change replaces the whole set of keys in one atomic step.
	Change(ctx context.Context, change func([]Key) ([]Key, error)) ([]Key, error)
}

// Mark is a name that can be taken once until it expires, with a value that
// whoever comes second is given.
type Mark struct {
	Name    string
	Value   []byte
	Expires time.Time
}

// Once keeps marks: assertion ids that were used, idempotency keys, which
// participant somebody's credentials are for.
type Once interface {
	// Put takes the name. If it is taken and has not expired at now, Put
	// returns the mark that took it, and ErrExists.
	Put(ctx context.Context, now time.Time, m Mark) (Mark, error)
	// Replace puts the mark in the place of the one that has its name, if that
	// has not expired at now and still has the value old. If it has another,
	// Replace returns it, and ErrExists; if there is none, ErrNotFound.
	Replace(ctx context.Context, now time.Time, old []byte, m Mark) (Mark, error)
	// Take returns a mark that has not expired at now, and frees its name: of
	// those who take it at once, one is given it. The others, and whoever takes
	// what is not there, get ErrNotFound.
	Take(ctx context.Context, now time.Time, name string) (Mark, error)
	// Sweep deletes marks that expired before now, at most limit of them, and
	// returns how many there were.
	Sweep(ctx context.Context, now time.Time, limit int) (int, error)
}

// Members keeps who has a standing role in which room. It does not ask whether
// the room is there.
type Members interface {
	// Put adds a member, or replaces all that was said of it.
	Put(ctx context.Context, m usher.Member) error
	// Of returns those of an identity's keys, at most 200, that are members of
	// the room, in the order of [Members.List].
	Of(ctx context.Context, room usher.RoomKey, keys []string) ([]usher.Member, error)
	// List returns a room's members after the given key, by the bytes of their
	// keys.
	List(ctx context.Context, room usher.RoomKey, after string, limit int) ([]usher.Member, error)
	// Delete returns ErrNotFound if there is no such member.
	Delete(ctx context.Context, room usher.RoomKey, key string) error
}

// Invites keeps the codes that let guests in. It does not ask whether the room
// is there.
type Invites interface {
	// Create returns ErrExists if the id is taken in its room, or the code
	// anywhere.
	Create(ctx context.Context, i usher.Invite) error
	// ByCode finds an invite by the digest of its code. The zero digest finds
	// nothing.
	ByCode(ctx context.Context, code usher.Digest) (usher.Invite, error)
	// List returns a room's invites by the time they were made. The id that it
	// goes on after need not exist any more.
	List(ctx context.Context, room usher.RoomKey, after usher.ID, limit int) ([]usher.Invite, error)
	// Update changes one invite: a use is counted and checked in one step.
	Update(ctx context.Context, room usher.RoomKey, id usher.ID, change func(usher.Invite) (usher.Invite, error)) (usher.Invite, error)
}

// Users keeps the people whom issuers vouch for.
type Users interface {
	// Create returns ErrExists if there is a user of that key.
	Create(ctx context.Context, u usher.User) error
	Get(ctx context.Context, app, key string) (usher.User, error)
	// ByEmail finds the user of an address, in whatever case it is written. If
	// several have it, it is whose token said so last, by ProvenAt and then by
	// the bytes of the key. The empty address finds nobody.
	ByEmail(ctx context.Context, app, email string) (usher.User, error)
	// List returns an app's users after the given key, by the bytes of their keys.
	List(ctx context.Context, app, after string, limit int) ([]usher.User, error)
	Update(ctx context.Context, app, key string, change func(usher.User) (usher.User, error)) (usher.User, error)
	// Delete removes a user together with every contact that is the user's and
	// every one that is for it, and returns these in the order of their keys. It
	// returns ErrNotFound if there is no such user; whoever was left in doubt
	// may delete again.
	Delete(ctx context.Context, app, key string) ([]usher.Contact, error)
}

// Contacts keeps whom each user lists.
type Contacts interface {
	// Add makes an entry, of which an owner may have most; 0 or less is no limit.
	// It returns ErrNotFound if the owner or whom it is for is no user, ErrExists
	// and the entry that is there if it is there, and else ErrFull if the owner
	// has that many.
	Add(ctx context.Context, c usher.Contact, most int) (usher.Contact, error)
	// Get returns ErrNotFound if the owner does not list the user.
	Get(ctx context.Context, app, owner, user string) (usher.Contact, error)
	// List returns all whom the owner lists, by their folded e-mail addresses and
	// then their keys.
	List(ctx context.Context, app, owner string) ([]Listing, error)
	// Remove returns ErrNotFound if the owner does not list the user.
	Remove(ctx context.Context, app, owner, user string) error
}

// Listing is a contact with the user whom it is for.
type Listing struct {
	Contact usher.Contact
	User    usher.User
	// Mutual says that the user lists the owner, too.
	Mutual bool
}

// Takings keeps, in one sequence, everything that was taken away.
//
// The sequence begins at 1 and has no gaps, and whoever has read it up to a
// number never finds one before it later. A store with one writer has that for
// nothing. Any other must take the number in the write itself, by a row that is
// locked until the commit or by a condition that nobody took it meanwhile: a
// database's own sequence gives out numbers that commit in another order.
type Takings interface {
	// Append writes the entry down, gives it the next number whatever Seq it
	// had, and returns it as it will be read. It returns ErrExists if there is
	// an entry of that id: whoever was left in doubt may append again.
	Append(ctx context.Context, t usher.Taking) (usher.Taking, error)
	// After returns what follows a number, in order.
	After(ctx context.Context, seq int64, limit int) ([]usher.Taking, error)
}

// Stays keeps what rooms have on foreign platforms, and with it what has yet to
// be taken back there. It does not ask whether the room is there.
type Stays interface {
	// Change changes one stay. If there is none, change is given one that has
	// nothing but its key, and what it returns is made, with the Version 1. It
	// has the stay deleted by ErrDelete; then Change returns it as it was.
	Change(ctx context.Context, key usher.StayKey, change func(usher.Stay) (usher.Stay, error)) (usher.Stay, error)
	// List returns stays after a key that need not exist any more: those of a
	// room by the rest of their keys, or all, in an order in which those of a
	// room follow each other.
	List(ctx context.Context, q StayQuery) ([]usher.Stay, error)
	// Due returns the stays on a platform whose Due is set, the soonest first.
	Due(ctx context.Context, platform string, limit int) ([]usher.Stay, error)
}

// StayQuery selects a page of stays.
type StayQuery struct {
	// Room restricts the list to the stays of one room, if not zero.
	Room  usher.RoomKey
	After usher.StayKey
	Limit int
}

// Batch is a part of the record: events of one node that were written down
// together, encoded.
type Batch struct {
	// Seq is given by the store, and grows in the order of commits.
	Seq int64
	// First and Last are the times of the oldest and the newest event.
	First, Last time.Time
	Count       int
	// Body is never empty. What is in it is not the store's concern.
	Body []byte
}

// Record keeps what happened, in a sequence that is read as that of [Takings]:
// whoever follows it by number misses nothing. No number is given twice, also
// not after all batches were deleted.
type Record interface {
	// Append writes the batch down, gives it the next number whatever Seq it
	// had, and returns it as it will be read.
	Append(ctx context.Context, b Batch) (Batch, error)
	// After returns the batches that follow a number, in order.
	After(ctx context.Context, seq int64, limit int) ([]Batch, error)
	// Before returns the batches that precede a number, the last first; 0 is
	// beyond every number.
	Before(ctx context.Context, seq int64, limit int) ([]Batch, error)
	// At returns the batches that may hold an event of that time, from First to
	// Last inclusive, by their Last.
	At(ctx context.Context, t time.Time, limit int) ([]Batch, error)
	// Trim deletes the batches that ended before the given time, and then the
	// oldest until the bodies of the rest have at most keep bytes together; 0 or
	// less is no such limit. It returns how many went. It works in steps, so
	// that it holds nobody up: the steps before an error stand, and the number
	// says so.
	Trim(ctx context.Context, before time.Time, keep int64) (int, error)
}

// Sessions keeps the sessions of opaque tokens, by the digests of those.
type Sessions interface {
	// Create returns ErrExists if there is a session with that token, or with
	// that id.
	Create(ctx context.Context, s usher.Session) error
	// Get returns a session also when its time is over.
	Get(ctx context.Context, token usher.Digest) (usher.Session, error)
	// Of returns the sessions of an identity's key by the time they were made.
	// The id that it goes on after need not exist any more.
	Of(ctx context.Context, app, identity string, after usher.ID, limit int) ([]usher.Session, error)
	Update(ctx context.Context, token usher.Digest, change func(usher.Session) (usher.Session, error)) (usher.Session, error)
	// Sweep deletes sessions that expired before now, at most limit of them, and
	// returns how many there were.
	Sweep(ctx context.Context, now time.Time, limit int) (int, error)
}

// Attachments keeps the connections that a gateway holds for us.
type Attachments interface {
	// Create returns ErrExists if there is one of that key.
	Create(ctx context.Context, a usher.Attachment) error
	Get(ctx context.Context, key usher.AttachmentKey) (usher.Attachment, error)
	// Of returns all that a user has, by the bytes of their names.
	Of(ctx context.Context, app, user string) ([]usher.Attachment, error)
	// Update changes one attachment. It has it deleted by ErrDelete; then Update
	// returns it as it was.
	Update(ctx context.Context, key usher.AttachmentKey, change func(usher.Attachment) (usher.Attachment, error)) (usher.Attachment, error)
	// Due returns attachments whose Due is set and not after now, the longest
	// overdue first.
	Due(ctx context.Context, now time.Time, limit int) ([]usher.AttachmentKey, error)
}

// Entries are a part of a document's log: changes that were written down
// together, encoded. What is in the body is not the store's concern.
type Entries struct {
	// First and Last are the numbers of the first change and of the last.
	First, Last int64
	// At is when they were written down.
	At time.Time
	// Body is never empty.
	Body []byte
}

// Snapshot is what a document came to at one of its changes.
type Snapshot struct {
	// ID tells snapshots apart; whoever makes one chooses it.
	ID usher.ID
	// Last is the number of the last change that it holds.
	Last int64
	// Parts is of how many parts it consists.
	Parts int
}

// Head says what there is of a document. Its zero value is a document that
// nothing was ever written of.
type Head struct {
	// Last is the number of the last change, and At when it was written down. It
	// never goes back, also when what it counts was compacted.
	Last int64
	At   time.Time
	// Snapshot is what the document begins with; zero if it has none.
	Snapshot Snapshot
}

// Documents keeps one document for each room, as a snapshot and a log: a
// document is what its snapshot says, changed by the log after that. It does not
// ask whether the room is there.
//
// A snapshot is written part by part, so that none is larger than what any store
// can hold in one record, and holds up nobody. It counts from the moment at
// which [Documents.Compact] says so.
type Documents interface {
	// Head says what there is of a document.
	Head(ctx context.Context, room usher.RoomKey) (Head, error)
	// Append adds to the end of the log: e.First must be the number after the
	// last one, or nothing is written and ErrExists returned, since somebody else
	// has written meanwhile.
	Append(ctx context.Context, room usher.RoomKey, e Entries) error
	// Log returns what follows a number, in order. It begins with the entries
	// that the number is in the midst of.
	Log(ctx context.Context, room usher.RoomKey, after int64, limit int) ([]Entries, error)

	// PutPart writes a part of a snapshot, or writes it again. Parts count from 0.
	PutPart(ctx context.Context, room usher.RoomKey, snapshot usher.ID, part int, body []byte) error
	// Part returns a part of a snapshot.
	Part(ctx context.Context, room usher.RoomKey, snapshot usher.ID, part int) ([]byte, error)
	// Compact has a document begin with a snapshot, all parts of which are
	// written. It returns ErrExists, and does nothing, unless the document's
	// snapshot is still that of the id replaces. It then deletes the log up to
	// the snapshot, and the parts of all others: what an error leaves of those
	// the next Compact deletes, and nobody reads.
	Compact(ctx context.Context, room usher.RoomKey, next Snapshot, replaces usher.ID) error
}
