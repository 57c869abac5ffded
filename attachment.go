package usher

import "time"

// AttachmentKey finds an attachment in a store.
type AttachmentKey struct {
	App string
	// User is the key of whose connection it is: see [Identity.Key].
	User string
	// Connection is what the gateway calls the connection.
	Connection string
}

// Attachment is a live connection of a user that no process of ours holds: a
// gateway does, such as API Gateway, and each message comes to whichever process
// is free. So all that must be known of it is written down. A connection to a
// socket of ours is in the memory of its process instead.
//
// A gateway need not tell that a connection has ended. An attachment is a lease
// therefore, which whatever is heard of the connection prolongs.
//
// One without an ID was written by somebody else's program, and has nothing but
// its key: what is posted to it may arrive, and nobody counts as there by it.
type Attachment struct {
	AttachmentKey
	// ID tells it from an earlier one of the same key, and says when it was made.
	ID ID
	// Endpoint is where the gateway takes what is to be sent to the connection.
	Endpoint string
	// Who is whose connection it is, as that was proven last.
	Who Identity
	// Made says that the connection is there: until something was heard of it, it
	// may be about to be made, and a gateway then knows nothing of it.
	Made bool
	// Away is what the device says of its user.
	Away bool
	// Held are messages that came before it was made, in order.
	Held [][]byte
	// SeenAt is when something was heard of it last.
	SeenAt time.Time
	// Due is when it is over, unless something is heard of it; zero is never.
	Due       time.Time
	UpdatedAt time.Time
	Version   int64
}

// There reports whether somebody counts as there by the attachment.
func (a Attachment) There(now time.Time) bool { return a.ID != "" && now.Before(a.Due) }
