// Package collab keeps the documents that people work on together: it orders
// what they do, writes it down, folds it, and tells everyone, and it knows who
// is there. It has no wire format; a dialect translates.
//
// A room has one document: maps of texts by key, and lists of texts. What the
// texts say is the dialect's concern; here they only have to be JSON. A change
// is an [Op]. Ops of a room pass through one goroutine, which gathers those that
// wait, folds them, appends them to the log in one write, and only then tells
// anyone: an acknowledged op is on disk, everyone hears the same ops in the same
// order, and their stamps grow for ever, also across restarts.
//
// The document in memory is what the log comes to. If a write fails, nobody
// knows whether it took place; the room is closed then, with everyone in it, and
// read anew when the next one comes.
//
// Who may enter, and what they may do there, is access's to say: a [Member] is
// an [access.Visit], and what is taken from that is taken from the member.
package collab

import (
	"context"
	"log/slog"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/store"
)

// Config is what an operator can say about documents.
type Config struct {
	MaxValue    int           `yaml:"maxValue" doc:"The longest text that a key or an item can have, in bytes."`
	MaxDocument int           `yaml:"maxDocument" doc:"How large a document may grow, in bytes of its names, keys and texts."`
	MaxItems    int           `yaml:"maxItems" doc:"How many keys and items a document may have, those of lists that were deleted included."`
	MaxObjects  int           `yaml:"maxObjects" doc:"How many maps and lists a document may have."`
	MaxPresence int           `yaml:"maxPresence" doc:"How many bytes of presence one user may have in a room."`
	MaxPeers    int           `yaml:"maxPeers" doc:"How many connections a room may have; 0 is no limit."`
	Grace       time.Duration `yaml:"grace" doc:"How long a user whose last connection broke is still shown to the others."`
	Burst       int           `yaml:"burst" doc:"How many changes one connection may send at once; 0 is no limit."`
	Rate        int           `yaml:"rate" doc:"How many changes a second one connection may go on with after that."`
}

// DefaultConfig returns the values in force where a configuration is silent.
func DefaultConfig() Config {
	return Config{
		MaxValue: 64 << 10, MaxDocument: 32 << 20, MaxItems: 200_000, MaxObjects: 1000,
		MaxPresence: 64 << 10, MaxPeers: 1000, Grace: 5 * time.Second,
		Burst: 12_000, Rate: 200, // the browser client keeps up to 10,000 changes while it is offline
	}
}

// Deps is what a [Hub] works with.
type Deps struct {
	Access *access.Access
	Store  store.Documents
	Now    func() time.Time
	Logger *slog.Logger
}

// Peer is a dialect's end of one connection. Its methods are called one after
// the other, in the order in which things happened, from the room's goroutine:
// they must not block, nor call the room.
type Peer interface {
	// Updated says that an op took place. It is the answer to an op of the
	// connection's own if own is set, and news otherwise. Own ops that changed
	// nothing are answered all the same: see [Update.Changed].
	Updated(u *Update, own bool)
	// Refused says that an op of the connection's own did not take place.
	Refused(op Op, err *usher.Error)
	// Listed is the answer to the creation of a list that is already there,
	// after Updated: all its items, deleted ones included, in the order of the
	// list. Some clients can't be told of what they don't know in another way.
	Listed(name string, items []Item, stamp int64)
	// Present says what somebody in the room shows of himself. It is told to
	// everyone but the connection that it came from.
	Present(p *Presence)
	// Gone says that a user's last connection left and did not come back.
	Gone(g *Gone)
	// Ended says that the connection is out of the room, and must be closed.
	// Nothing follows.
	Ended(end End)
}

// End is why a member is put out of a room.
type End struct {
	// Why is one of access's reasons, or [Broken].
	Why access.EndReason
	// Message is for the person at the other end.
	Message string
}

// Broken means that the room could not go on. Whoever comes back finds it whole.
const Broken access.EndReason = "broken"

// Join brings a connection into a room. It hears of everything that happens
// after what [Hub.Document] returns before Join does: a dialect that answers
// that the room is joined only after Join misses nothing.
//
// The errors are access's, and: TooMany "room_crowded".
func (h *Hub) Join(ctx context.Context, token usher.Secret, room usher.ID, peer Peer) (*Member, error) {
	panic("not built yet")
}

// Document returns a room's document to the bearer of a token, with everything
// in it that was told to anyone before.
func (h *Hub) Document(ctx context.Context, token usher.Secret, room usher.ID) (*View, error) {
	panic("not built yet")
}

// Present returns who shows what in a room, to the bearer of a token: what has
// not expired, by key and then by user.
func (h *Hub) Present(ctx context.Context, token usher.Secret, room usher.ID) ([]Presence, error) {
	panic("not built yet")
}

// Read returns the document of a room to a back end.
func (h *Hub) Read(ctx context.Context, id usher.Identity, ref string) (*View, error) {
	panic("not built yet")
}

// Write has a back end change the document of a room, as a user of that name.
// Ops are applied in order; those that can't be are left out, and told with
// their places among ops. The view is of after the change.
func (h *Hub) Write(ctx context.Context, id usher.Identity, ref, user string, ops []Op) (*View, []OpError, error) {
	panic("not built yet")
}

// OpError is why an op did not take place.
type OpError struct {
	// Index is the place of the op among those that were sent with it.
	Index int
	Err   *usher.Error
}

// Member is one connection in a room.
type Member struct{}

// Hub keeps the rooms that somebody is in.
type Hub struct{}

// New returns a hub without rooms.
func New(config Config, deps Deps) *Hub {
	panic("not built yet")
}

// Close writes down what there is to write, puts everyone out and returns when nothing runs any more.
func (h *Hub) Close(ctx context.Context) error {
	panic("not built yet")
}

// User is what the others know the member by.
func (m *Member) User() string {
	panic("not built yet")
}

// Room is the room that the member is in.
func (m *Member) Room() usher.RoomKey {
	panic("not built yet")
}

// Permissions are what the member may do now: PublishData lets it change the
// document. Presence is for everyone who is there.
func (m *Member) Permissions() usher.Permissions {
	panic("not built yet")
}

// Submit sends ops, which take place in their order; the peer hears what came of
// each. It waits while the room has much to do, and returns an error only once
// the member has left or was put out.
func (m *Member) Submit(ops ...Op) error {
	panic("not built yet")
}

// Show sets what the member's user shows under a key until expires. Its errors
// are for the caller: Invalid "presence_invalid", TooLarge "presence_too_large",
// TooMany "rate_exceeded".
func (m *Member) Show(key, value string, expires time.Time) error {
	panic("not built yet")
}

// Leave ends the membership; only the first call counts. The peer may hear more
// while Leave runs, and nothing after.
func (m *Member) Leave() {
	panic("not built yet")
}
