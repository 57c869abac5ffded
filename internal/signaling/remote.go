package signaling

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"usher"
	"usher/internal/access"
	"usher/internal/call"
	"usher/internal/limit"
	"usher/internal/recent"
	"usher/internal/store"
)

// Gateway holds connections in our place, and takes what is to be sent to them.
type Gateway interface {
	// Post sends a message to a connection. It returns [ErrGone] if there is no
	// such connection, be it that it has ended or that it is not made yet, and
	// [ErrBusy] if it should be tried again later; after any other error it may or
	// may not have been sent.
	Post(ctx context.Context, endpoint, connection string, message []byte) error
	// Close ends a connection, or returns ErrGone.
	Close(ctx context.Context, endpoint, connection string) error
}

// What a [Gateway] answers.
var (
	ErrGone = errors.New("the gateway has no such connection")
	ErrBusy = errors.New("the gateway takes nothing for it now")
)

// RemoteDeps is what a [Remote] works with. Of the hub's it needs neither a bus
// nor what is for sockets.
type RemoteDeps struct {
	Deps
	Attachments store.Attachments
	// Once remembers which messages came, and keeps what is held back.
	Once    store.Once
	Gateway Gateway
}

// Remote is the hub where a gateway holds the connections and hands whatever
// happens on one to whichever process is free, such as a function on AWS Lambda.
// What a [Hub] has in memory is read from the store for each event, by a hub that
// lives as long as the event: see turn. It is safe for concurrent use.
type Remote struct {
	RemoteDeps
	config            Config
	calls             call.Config
	failed, strangers *limit.Keyed
	metrics           *metrics
	// rates are the limits of the connections that this process has seen lately.
	rates *recent.Map[*rates]

	mu       sync.Mutex
	contacts []access.ContactChange // that nobody was told of yet
}

// rates are the limits of one connection.
type rates struct{ relayed, called bucket }

// rememberRates is of how many connections a process knows how often they spoke.
const rememberRates = 4096

// NewRemote returns a remote hub.
func NewRemote(config Config, calls call.Config, deps RemoteDeps) *Remote {
	r := &Remote{
		RemoteDeps: deps, config: config.complete(), calls: calls,
		failed: limit.New(deps.Failed, deps.Now), strangers: limit.New(strangers, deps.Now),
		metrics: newMetrics(deps.Metrics), rates: recent.New[*rates](rememberRates),
	}
	deps.Access.WatchContacts(r.contactChanged)
	return r
}

// Event is what a gateway says of something that happened on a connection.
type Event struct {
	// Connection is what the gateway calls the connection, and Endpoint where it
	// takes what is sent to it.
	Connection, Endpoint string
	// App and User are whose it is: they were told the gateway when it was made.
	App, User string
	// Message tells a message from others of the connection; a gateway may hand
	// over one twice.
	Message string
}

func (e Event) key() usher.AttachmentKey {
	return usher.AttachmentKey{App: e.App, User: e.User, Connection: e.Connection}
}

// validConnection reports whether a gateway may call a connection that: it is
// told others as a part of JSON.
func validConnection(name string) bool {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-"
	return name != "" && len(name) <= maxShort && strings.Trim(name, allowed) == ""
}

var (
	errNoRooms = usher.Errorf(usher.Unsupported, "rooms_unavailable",
		"There are no rooms over this connection: they need a server that lives on between two messages. Connect to one that runs usher serve.")
	errSubprotocol = usher.Errorf(usher.Unsupported, "subprotocol_unavailable",
		"usher.v1 can't be spoken here, where no server lives on between two messages. Connect without a subprotocol, with ?Auth= or ?ticket=.")
	errConnection = usher.Errorf(usher.Invalid, "connection_invalid", "The gateway's name of the connection can't be used.")
)

// Authenticate finds out who wants to connect, by what is in the URL, from where,
// and whether they may.
func (r *Remote) Authenticate(ctx context.Context, token, ticket usher.Secret, address netip.Addr) (usher.Identity, error) {
	if err := r.Access.Refresh(ctx); err != nil {
		return usher.Identity{}, err
	}
	h := r.turn(ctx).hub
	id, err := h.identify(ctx, limit.AddressKey(address), token, ticket)
	if err != nil {
		return usher.Identity{}, err
	}
	if id.Kind != usher.UserIdentity {
		return usher.Identity{}, errUsersOnly // guests have rooms, and nothing else
	}
	return id, r.Access.MaySignal(ctx, id)
}

// Connect notes that a connection of somebody is about to be made. Nothing can be
// sent to it before the gateway was answered: what is to be waits until the
// connection speaks.
func (r *Remote) Connect(ctx context.Context, e Event, id usher.Identity, subprotocols []string) error {
	if !validConnection(e.Connection) {
		return errConnection
	}
	if slices.Contains(subprotocols, Subprotocol) {
		return errSubprotocol
	}
	t := r.turn(ctx)
	t.endpoint, t.making = e.Endpoint, e.Connection
	now := t.hub.Now()
	if err := r.Access.Refresh(ctx); err != nil {
		return err
	}
	if err := t.void(id, now); err != nil {
		return err
	}
	rows, err := r.Attachments.Of(ctx, e.App, e.User)
	if err != nil {
		return err
	}
	open := 0
	for _, row := range rows {
		if row.There(now) && row.Connection != e.Connection {
			open++
		}
	}
	if open >= r.config.Connections {
		return errConnections
	}
	row := usher.Attachment{AttachmentKey: e.key(), ID: r.IDs.New(), Endpoint: e.Endpoint, Who: id, SeenAt: now, UpdatedAt: now, Version: 1}
	row.Due = t.due(row)
	switch err := r.Attachments.Create(ctx, row); {
	case errors.Is(err, store.ErrExists):
		return nil // it was told twice
	case err != nil:
		return err
	}
	r.metrics.connections.Inc()
	t.connected(row)
	return t.settle()
}

// Message handles a message of a connection. An error is one of ours: what is
// wrong with the message its sender is told.
func (r *Remote) Message(ctx context.Context, e Event, data []byte) error {
	if !validConnection(e.Connection) {
		return errConnection
	}
	t := r.turn(ctx)
	t.endpoint = e.Endpoint
	if err := r.Access.Refresh(ctx); err != nil {
		return err
	}
	if e.Message != "" {
		t.message = e.Connection + ":" + e.Message
	}
	s, err := t.speaker(e)
	if err != nil {
		return err
	}
	if s == nil {
		// It is none that we know: it has ended, or is put out.
		err := t.settle()
		if err := r.Gateway.Close(ctx, e.Endpoint, e.Connection); err != nil && !errors.Is(err, ErrGone) {
			r.Logger.Warn("a connection that nobody knows could not be closed", "error", err)
		}
		return err
	}
	if len(data) > r.config.MaxMessage || !utf8.Valid(data) {
		data = nil // which is no message: a socket of ours would have closed
	}
	limits := t.rates(s)
	s.link.Message(nil, data)
	limits.relayed.full.Store(s.relayed.full.Load())
	limits.called.full.Store(s.called.full.Load())
	return t.settle()
}

// rates gives a session the limits that this process knows of its connection.
func (t *turn) rates(s *session) *rates {
	key := usher.Secret(s.handle).Digest()
	limits, known := t.Remote.rates.Get(key)
	if !known {
		limits = &rates{}
		t.Remote.rates.Put(key, limits)
	}
	s.relayed.full.Store(limits.relayed.full.Load())
	s.called.full.Store(limits.called.full.Load())
	return limits
}

// Disconnect notes that a connection has ended. A gateway may say so twice, or
// never.
func (r *Remote) Disconnect(ctx context.Context, e Event) error {
	t := r.turn(ctx)
	if err := r.Access.Refresh(ctx); err != nil {
		return err
	}
	t.endpoint = e.Endpoint
	t.ended(usher.Attachment{AttachmentKey: e.key()})
	return t.settle()
}

// Sweep does what has become due while nobody acted: calls that nobody accepted,
// connections of which nothing was heard.
func (r *Remote) Sweep(ctx context.Context) error {
	t := r.turn(ctx)
	if err := r.Access.Refresh(ctx); err != nil {
		return err
	}
	if err := t.hub.calls.Sweep(ctx); err != nil {
		return err
	}
	for {
		due, err := r.Attachments.Due(ctx, t.hub.Now(), sweepBatch)
		if err != nil {
			return err
		}
		for _, key := range due {
			t.lapsed(key)
		}
		if err := t.settle(); err != nil || len(due) < sweepBatch {
			return err
		}
	}
}

// sweepBatch is how many connections that are over are read at a time.
const sweepBatch = 100

// Online returns which of the users of these keys are there.
func (r *Remote) Online(ctx context.Context, app string, keys []string) (map[string]bool, error) {
	t := r.turn(ctx)
	all, err := t.attachmentsOf(ctx, app, keys)
	if err != nil {
		return nil, err
	}
	now := r.Now()
	there := make(map[string]bool)
	for i, key := range keys {
		if slices.ContainsFunc(all[i], func(a usher.Attachment) bool { return a.There(now) && t.void(a.Who, now) == nil }) {
			there[key] = true
		}
	}
	return there, nil
}

// contactChanged notes that somebody has changed whom they list. Those whom it
// concerns are told by [Remote.TellContacts].
func (r *Remote) contactChanged(c access.ContactChange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.contacts = append(r.contacts, c)
}

// TellContacts tells people of the changes that were noted since it was called
// last.
func (r *Remote) TellContacts(ctx context.Context) error {
	r.mu.Lock()
	changes := r.contacts
	r.contacts = nil
	r.mu.Unlock()
	if len(changes) == 0 {
		return nil
	}
	t := r.turn(ctx)
	for _, c := range changes {
		t.listed(c)
	}
	return t.settle()
}
