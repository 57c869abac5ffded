// Package dynamostore keeps Usher's state in DynamoDB: users, contacts and the
// connections that a gateway holds in the tables of the serverless video chat, as
// that has them, and all else in one table of its own.
//
// It asks for nothing but writes of single items on condition, so that it needs
// neither transactions nor expiry nor streams, and reads what must be right
// strongly consistent. docs/adr/0006 says how that comes to atomic steps that
// outlive a crash between any two requests; in short:
//
//   - A record is one item, its head. A write is one conditional update of the
//     head: it happens in that moment, or not at all.
//   - What finds a record otherwise, an entry of an index or the lock of a unique
//     name, is an item that points to the head, and counts only if the head
//     points back. It is written before the head and deleted after it, so that
//     a crash leaves at most an entry that nobody heeds.
//   - A participant changes in the head of its room: the update of the room
//     holds the participant as it becomes, and whoever comes next finishes that
//     if need be.
package dynamostore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/logging"

	"usher"
	"usher/internal/store"
)

// Config is what a store needs to open.
type Config struct {
	// Region is that of AWS; empty is what the environment says, as AWS's own
	// tools read it.
	Region string
	// Endpoint is the address of another DynamoDB than AWS's; empty for most.
	Endpoint string
	// Credentials, if set, are used instead of those that the environment has.
	Credentials aws.CredentialsProvider
	Tables      Tables
	// Issuer is whose users the video chat's tables call by their bare sub.
	Issuer string
	// Timeout bounds one request; 0 is 5 s. What fails is repeated for three times
	// as long.
	Timeout time.Duration
	// Logger may be nil.
	Logger *slog.Logger
	// Now is the clock; nil is [time.Now].
	Now func() time.Time
	// Random makes what tells writes apart; nil is the system's. It is read by
	// many at once.
	Random io.Reader
}

// Tables are the names of tables and of their indexes.
type Tables struct {
	Usher                        string
	Users, Contacts, Connections string
	// UserEmail is the index of Users by e-mail address, and UserID that of
	// Contacts by owner and e-mail address.
	UserEmail, UserID string
}

// DB is an open store. It is safe for concurrent use.
type DB struct {
	api    *dynamodb.Client
	now    func() time.Time
	random io.Reader
	log    *slog.Logger
	issuer string
	tables Tables
	// timeout bounds one request.
	timeout time.Duration
	// own, users, contacts and connections say how the items of a table are found.
	own, users, contacts, connections *table
	queues                            queues

	// mu lets Close wait for those who are about to begin.
	mu      sync.RWMutex
	closed  bool
	working sync.WaitGroup
}

var _ store.DB = (*DB)(nil)

// table is a table and the names of its keys.
type table struct {
	name       string
	hash, sort string // sort is empty if there is none
}

// Open returns a store on tables that are there: see [DB.Migrate]. It asks
// DynamoDB for nothing yet.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	options := []func(*config.LoadOptions) error{
		// Whether to try again depends on what is tried: see repeat.
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.MaxIdleConnsPerHost = idleConnections
		})),
	}
	if cfg.Region != "" {
		options = append(options, config.WithRegion(cfg.Region))
	}
	if cfg.Credentials != nil {
		options = append(options, config.WithCredentialsProvider(cfg.Credentials))
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	options = append(options, config.WithLogger(logging.LoggerFunc(func(_ logging.Classification, format string, args ...any) {
		log.Debug("the AWS SDK says: " + fmt.Sprintf(format, args...))
	})))
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("dynamostore: open: %w", err)
	}
	if loaded.Region == "" {
		return nil, errors.New("dynamostore: open: no region is known: set AWS_REGION or store.region")
	}
	db := &DB{
		api: dynamodb.NewFromConfig(loaded, func(o *dynamodb.Options) {
			if cfg.Endpoint != "" {
				o.BaseEndpoint = aws.String(cfg.Endpoint)
			}
		}),
		now: cfg.Now, random: cfg.Random, log: log, issuer: cfg.Issuer, tables: cfg.Tables,
		own:         &table{cfg.Tables.Usher, "pk", "sk"},
		users:       &table{cfg.Tables.Users, "userId", ""},
		contacts:    &table{cfg.Tables.Contacts, "userId", "contactUserId"},
		connections: &table{cfg.Tables.Connections, "userId", "connectionId"},
		queues:      queues{held: make(map[key]*queue)},
	}
	if db.timeout = cfg.Timeout; db.timeout == 0 {
		db.timeout = callTime
	}
	if db.now == nil {
		db.now = time.Now
	}
	if db.random == nil {
		db.random = rand.Reader
	}
	return db, nil
}

// idleConnections is how many connections are kept for the next requests.
const idleConnections = 128

// Rooms returns the rooms and their participants.
func (db *DB) Rooms() store.Rooms { return rooms{db} }

// Clients returns the registered back ends.
func (db *DB) Clients() store.Clients { return clients{db} }

// Keys returns our signing keys.
func (db *DB) Keys() store.Keys { return signingKeys{db} }

// Once returns the marks.
func (db *DB) Once() store.Once { return once{db} }

// Members returns who has a standing role in which room.
func (db *DB) Members() store.Members { return members{db} }

// Invites returns the codes that let guests in.
func (db *DB) Invites() store.Invites { return invites{db} }

// Users returns the people whom issuers vouch for.
func (db *DB) Users() store.Users { return users{db} }

// Contacts returns whom each user lists.
func (db *DB) Contacts() store.Contacts { return contacts{db} }

// Calls returns the calls between people.
func (db *DB) Calls() store.Calls { return calls{db} }

// Takings returns the sequence of what was taken away.
func (db *DB) Takings() store.Takings { return takings{db} }

// Stays returns what rooms have on foreign platforms.
func (db *DB) Stays() store.Stays { return stays{db} }

// Record returns what happened.
func (db *DB) Record() store.Record { return record{db} }

// Sessions returns the sessions of opaque tokens.
func (db *DB) Sessions() store.Sessions { return sessions{db} }

// Attachments returns the connections that a gateway holds.
func (db *DB) Attachments() store.Attachments { return attachments{db} }

// Documents returns the rooms' documents.
func (db *DB) Documents() store.Documents { return documents{db} }

// Ping fails when one of the tables can't be read.
func (db *DB) Ping(ctx context.Context) error {
	done, err := db.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	_, err = db.getAll(ctx, []key{{db.own, "ping", "ping"}, {table: db.users, hash: "ping"}, {db.contacts, "ping", "ping"}, {db.connections, "ping", "ping"}})
	return err
}

// Close refuses new work with [store.ErrClosed], and waits for what was accepted.
func (db *DB) Close() error {
	db.mu.Lock()
	db.closed = true
	db.mu.Unlock()
	db.working.Wait()
	return nil
}

// begin accepts a piece of work, unless the store is closed or ctx has ended.
func (db *DB) begin(ctx context.Context) (done func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return nil, store.ErrClosed
	}
	db.working.Add(1)
	return db.working.Done, nil
}

// unavailable is what callers are told of a DynamoDB that does not answer.
func unavailable(err error) error {
	return &usher.Error{
		Kind: usher.Unavailable, Code: store.ErrUnavailable.Code,
		Message: "The server's database does not answer as it should; try again in a moment.",
		Err:     fmt.Errorf("dynamostore: %w", err),
	}
}
