package dynamostore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"usher/internal/store"
	"usher/internal/store/dynamostore"
	"usher/internal/store/storetest"
)

// dynalite is the process that all tests share; each has tables of its own.
var dynalite = sync.OnceValues(startDynalite)

// opened numbers the tables of tests.
var opened atomic.Int64

func TestMain(m *testing.M) {
	status := m.Run()
	if s, err := dynalite(); err == nil {
		s.stop()
	}
	os.Exit(status)
}

// peer is a DynamoDB that is not ours.
type peer struct {
	endpoint string
	stop     func()
}

// errMissing says that a peer is not installed.
var errMissing = errors.New("the npm package dynalite is missing: scripts/test-deps installs it")

func startDynalite() (peer, error) {
	dir, err := filepath.Abs("../../../e2e/node")
	if err != nil {
		return peer{}, err
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "dynalite")); err != nil {
		return peer{}, errMissing
	}
	cmd := exec.Command("node", "dynalite.mjs")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return peer{}, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return peer{}, err
	}
	if err := cmd.Start(); err != nil {
		return peer{}, err
	}
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return peer{}, err
	}
	return peer{"http://127.0.0.1:" + strings.TrimSpace(port), func() { _, _ = in.Close(), cmd.Wait() }}, nil
}

// endpoint returns the address of dynalite. Where that is not installed the test
// fails in CI, and is skipped elsewhere.
func endpoint(t testing.TB) string {
	t.Helper()
	p, err := dynalite()
	if errors.Is(err, errMissing) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p.endpoint
}

// credentials are any: dynalite only asks for some.
func credentials(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
}

// issuer is whose users have rows under their sub.
const issuer = "https://id.example"

// config is that of a store with tables of its own, as the video chat's
// configuration names them.
func config(t testing.TB) dynamostore.Config {
	t.Helper()
	name := fmt.Sprint("test", opened.Add(1), "-")
	return dynamostore.Config{
		Region: "us-east-1", Endpoint: endpoint(t), Credentials: aws.CredentialsProviderFunc(credentials), Issuer: issuer,
		Timeout: time.Minute, // nothing here depends on how fast this machine is
		Tables: dynamostore.Tables{
			Usher: name + "usher", Users: name + "users", Contacts: name + "contacts", Connections: name + "connections",
			UserEmail: "UserIdIndex", UserID: "UserIdIndex",
		},
	}
}

// open opens a store; its tables are made if they are missing.
func open(t testing.TB, cfg dynamostore.Config) *dynamostore.DB {
	t.Helper()
	db, err := dynamostore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return db
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.DB { return open(t, config(t)) })
}

func TestConformanceWithChangesCalledAgain(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.DB { return storetest.Again(open(t, config(t))) })
}

func TestConcurrency(t *testing.T) {
	t.Parallel()
	storetest.RunConcurrency(t, func(t *testing.T) store.DB { return open(t, config(t)) })
}

// TestConcurrencyOfNodes spreads the callers over processes that know nothing of
// each other but the tables.
func TestConcurrencyOfNodes(t *testing.T) {
	t.Parallel()
	storetest.RunConcurrency(t, func(t *testing.T) store.DB {
		cfg := config(t)
		return &nodes{all: []*dynamostore.DB{open(t, cfg), open(t, cfg), open(t, cfg)}}
	})
}

// nodes is a store that is asked at another node each time.
type nodes struct {
	all  []*dynamostore.DB
	next atomic.Int64
}

func (n *nodes) one() *dynamostore.DB { return n.all[int(n.next.Add(1))%len(n.all)] }

func (n *nodes) Rooms() store.Rooms             { return n.one().Rooms() }
func (n *nodes) Clients() store.Clients         { return n.one().Clients() }
func (n *nodes) Keys() store.Keys               { return n.one().Keys() }
func (n *nodes) Once() store.Once               { return n.one().Once() }
func (n *nodes) Members() store.Members         { return n.one().Members() }
func (n *nodes) Invites() store.Invites         { return n.one().Invites() }
func (n *nodes) Users() store.Users             { return n.one().Users() }
func (n *nodes) Contacts() store.Contacts       { return n.one().Contacts() }
func (n *nodes) Calls() store.Calls             { return n.one().Calls() }
func (n *nodes) Takings() store.Takings         { return n.one().Takings() }
func (n *nodes) Stays() store.Stays             { return n.one().Stays() }
func (n *nodes) Sessions() store.Sessions       { return n.one().Sessions() }
func (n *nodes) Attachments() store.Attachments { return n.one().Attachments() }
func (n *nodes) Documents() store.Documents     { return n.one().Documents() }
func (n *nodes) Record() store.Record           { return n.one().Record() }
func (n *nodes) Ping(ctx context.Context) error { return n.one().Ping(ctx) }

func (n *nodes) Close() error {
	var err error
	for _, db := range n.all {
		err = errors.Join(err, db.Close())
	}
	return err
}
