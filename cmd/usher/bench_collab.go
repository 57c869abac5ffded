package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"usher"
	"usher/internal/access"
	"usher/internal/collab"
	"usher/internal/config"
	"usher/internal/limit"
	"usher/internal/store/sqlstore"
)

type benchCollab struct {
	Clients []int         `default:"2,20,200" help:"How many clients are in the room (default: ${default})."`
	Items   []int         `default:"1000,10000,100000" help:"How many items the document has (default: ${default})."`
	Time    time.Duration `default:"2s" help:"How long each measurement takes (default: ${default})."`
	Rounds  int           `default:"3" help:"How often each is measured; the median counts (default: ${default})."`
	Dir     string        `placeholder:"DIR" help:"A folder on the disk to measure (default: a temporary one in the current folder)."`
}

// benchMaker is the back end that the rooms belong to.
var benchMaker = usher.Identity{App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: "bench", Scopes: usher.AllScopes}

// Run measures the server of this binary through its sockets, as Room Service's
// clients use them: each client makes one change after the other, on disk before
// it is acknowledged, and everybody is told of each.
func (c benchCollab) Run(ctx context.Context, env environment) (err error) {
	if c.Rounds < 1 || c.Time <= 0 || len(c.Clients) == 0 || len(c.Items) == 0 || slices.Min(c.Clients) < 2 || slices.Min(c.Items) < 1 {
		return errors.New("bench collab: rounds, time and items must be positive, and clients at least 2")
	}
	folder, err := os.MkdirTemp(cmp.Or(c.Dir, "."), "usher-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	s, err := startBench(ctx, folder, sqlstore.Full, func(cfg *config.Config) {
		cfg.Collab.Rate, cfg.Collab.MaxPeers, cfg.Collab.MaxItems, cfg.Collab.MaxDocument = limit.Rate{}, 0, 0, 0
	})
	if err != nil {
		return fmt.Errorf("bench collab: %w", err)
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	fmt.Fprintf(env.Stderr, "measuring %v of changes, %d rounds, at %v clients and in documents of %v items\n", c.Time, c.Rounds, c.Clients, c.Items)

	if err := c.byClients(ctx, s, env.Stdout); err != nil {
		return fmt.Errorf("bench collab: %w", err)
	}
	fmt.Fprintln(env.Stdout)
	if err := c.byItems(ctx, s, env.Stdout); err != nil {
		return fmt.Errorf("bench collab: %w", err)
	}
	return nil
}

// byClients measures changes of a map's keys with more and more clients.
func (c benchCollab) byClients(ctx context.Context, s *benchServer, stdout io.Writer) error {
	out := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "clients\tchanges/s\tdeliveries/s\tp50\tp99\t")
	for _, n := range c.Clients {
		m, err := c.measure(ctx, s, fmt.Sprint("clients", n), n, func(room string, client, i int) []string {
			return []string{"mput", "doc_" + room, "bench", strconv.Itoa(client)}
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%d\t%.0f\t%.0f\t%s\t%s\t\n", n, m.rate, m.rate*float64(n-1), shortTime(m.p50), shortTime(m.p99))
	}
	return out.Flush()
}

// byItems measures insertions into a list of more and more items, and what it
// takes to come late.
func (c benchCollab) byItems(ctx context.Context, s *benchServer, stdout io.Writer) error {
	out := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "items\tfilled/s\tinsertions/s\tp50\tp99\tload\tread from disk\t")
	for _, items := range c.Items {
		room := fmt.Sprint("items", items)
		_, _, err := s.join(ctx, room, "maker")
		if err != nil {
			return err
		}
		began := time.Now()
		if err := fill(ctx, s, room, items); err != nil {
			return err
		}
		filled := float64(items) / time.Since(began).Seconds()
		var opened, loaded []time.Duration
		for range c.Rounds {
			took, err := readFromDisk(ctx, s, room)
			if err != nil {
				return err
			}
			opened = append(opened, took)
			if took, err = s.loadDocument(ctx, room, items); err != nil {
				return err
			}
			loaded = append(loaded, took)
		}
		// Each client inserts behind an item in the midst.
		next := items
		var mu sync.Mutex
		m, err := c.measure(ctx, s, room, 2, func(room string, client, i int) []string {
			mu.Lock()
			defer mu.Unlock()
			next++
			return []string{"lins", "doc_" + room, "bench", fmt.Sprintf("%d:filler", items/2), fmt.Sprintf("%d:client%d", next, client)}
		})
		if err != nil {
			return err
		}
		slices.Sort(opened)
		slices.Sort(loaded)
		fmt.Fprintf(out, "%d\t%.0f\t%.0f\t%s\t%s\t%s\t%s\t\n", items, filled, m.rate, shortTime(m.p50), shortTime(m.p99),
			shortTime(loaded[len(loaded)/2]), shortTime(opened[len(opened)/2]))
	}
	return out.Flush()
}

// join makes a session of a user for a room.
func (s *benchServer) join(ctx context.Context, room, user string) (token usher.Secret, id usher.ID, err error) {
	opened, err := s.access.OpenSession(ctx, benchMaker, access.SessionSpec{
		User: user, Lifetime: time.Hour,
		Rooms: []access.SessionRoom{{Ref: room, Permissions: usher.Permissions{usher.Join, usher.Subscribe, usher.PublishData}}},
	})
	if err != nil {
		return "", "", err
	}
	return opened.Token, opened.Rooms[0].ID, nil
}

// fill makes a list of so many items, one behind the other.
func fill(ctx context.Context, s *benchServer, room string, items int) error {
	const batch = 1000
	after := collab.ItemID{}
	ops := make([]collab.Op, 0, batch)
	for i := range items {
		id := collab.ItemID{Counter: int64(i), Writer: "filler"}
		ops = append(ops, collab.Op{Kind: collab.InsertItem, Object: "bench", Item: id, After: after, Value: `"something to do"`})
		after = id
		if len(ops) < batch && i < items-1 {
			continue
		}
		if _, refused, err := s.documents.Write(ctx, benchMaker, room, "maker", ops); err != nil || len(refused) > 0 {
			return errors.Join(err, fmt.Errorf("%d items could not be made", len(refused)))
		}
		ops = ops[:0]
	}
	return nil
}

// readFromDisk opens a document as the first to come to a room does.
func readFromDisk(ctx context.Context, s *benchServer, room string) (time.Duration, error) {
	hub := collab.New(collab.DefaultConfig(), collab.Deps{
		Access: s.access, Store: s.db.Documents(), IDs: usher.SystemIDs(), Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	began := time.Now()
	_, err := hub.Read(ctx, benchMaker, room)
	return time.Since(began), errors.Join(err, hub.Close(ctx))
}

// loadDocument loads a document as every client does, just after a change.
func (s *benchServer) loadDocument(ctx context.Context, room string, items int) (time.Duration, error) {
	token, id, err := s.join(ctx, room, "late")
	if err != nil {
		return 0, err
	}
	change := []collab.Op{{Kind: collab.PutItem, Object: "bench", Item: collab.ItemID{Counter: int64(items / 2), Writer: "filler"}, Value: `"another"`}}
	if _, _, err := s.documents.Write(ctx, benchMaker, room, "maker", change); err != nil {
		return 0, err
	}
	call := measuredCall{url: s.base + "/docs/doc_" + string(id), token: token, status: http.StatusOK}
	began := time.Now()
	err = call.send(ctx, http.DefaultTransport)
	return time.Since(began), err
}

// measure lets so many clients make changes for the configured time, as often as
// there are rounds, and returns the median: of the changes a second, and of the
// time from when a change is sent until another client has been told of it. The
// arguments of change lack their last, the value.
func (c benchCollab) measure(ctx context.Context, s *benchServer, room string, clients int, change func(room string, client, i int) []string) (measurement, error) {
	b := &benchRoom{start: time.Now(), change: change}
	defer b.close()
	for i := range clients {
		if err := b.connect(ctx, s, room, i); err != nil {
			return measurement{}, err
		}
	}
	var results []measurement
	for range c.Rounds {
		m, err := b.run(c.Time)
		if err != nil {
			return measurement{}, err
		}
		results = append(results, m)
	}
	return median(results), nil
}

// benchRoom is a room full of clients.
type benchRoom struct {
	start   time.Time
	change  func(room string, client, i int) []string
	clients []*benchClient
	readers sync.WaitGroup
}

// benchClient is one connection. Its reader notes when it was told of what.
type benchClient struct {
	index int
	room  string
	conn  net.Conn
	acks  chan struct{}
	lost  chan struct{} // closed when the connection is

	mu        sync.Mutex
	delivered []time.Duration
}

// connect brings one more client into the room.
func (b *benchRoom) connect(ctx context.Context, s *benchServer, room string, i int) error {
	token, id, err := s.join(ctx, room, fmt.Sprint("user", i))
	if err != nil {
		return err
	}
	conn, buffered, _, err := ws.Dial(ctx, "ws"+strings.TrimPrefix(s.base, "http")+"/ws")
	if err != nil {
		return err
	}
	if buffered != nil {
		ws.PutReader(buffered) // the server does not speak first
	}
	client := &benchClient{index: i, room: string(id), conn: conn, acks: make(chan struct{}, 1), lost: make(chan struct{})}
	b.clients = append(b.clients, client)
	for _, m := range []struct{ kind, body, answer string }{
		{"guest:authenticate", token.Reveal(), "guest:authenticated"}, {"room:join", "room_" + string(id), "room:joined"},
	} {
		if err := client.send(m.kind, m.body); err != nil {
			return err
		}
		answer, err := wsutil.ReadServerText(conn)
		if err == nil && !bytes.Contains(answer, []byte(m.answer)) {
			err = fmt.Errorf("%s was answered with %s", m.kind, answer)
		}
		if err != nil {
			return err
		}
	}
	b.readers.Go(func() { client.read(b.start) })
	return nil
}

func (c *benchClient) send(kind string, body any) error {
	data, err := json.Marshal(map[string]any{"type": kind, "ts": "0:0", "ver": 0, "body": body})
	if err != nil {
		return err
	}
	return wsutil.WriteClientText(c.conn, data)
}

// read notes what the client is told until the connection is closed. It looks
// only for what it needs, so that it is the server that is measured.
func (c *benchClient) read(start time.Time) {
	defer close(c.lost)
	end, own := []byte(`"],"ack":`), []byte("true")
	for {
		data, err := wsutil.ReadServerText(c.conn)
		if err != nil {
			return
		}
		head, tail, found := bytes.Cut(data, end)
		if !found {
			continue
		}
		if bytes.HasPrefix(tail, own) {
			c.acks <- struct{}{}
			continue
		}
		if sent, err := strconv.ParseInt(string(head[bytes.LastIndexByte(head, '"')+1:]), 10, 64); err == nil {
			took := time.Since(start) - time.Duration(sent)
			c.mu.Lock()
			c.delivered = append(c.delivered, took)
			c.mu.Unlock()
		}
	}
}

// run has all clients make changes for a time.
func (b *benchRoom) run(d time.Duration) (measurement, error) {
	for _, c := range b.clients {
		c.mu.Lock()
		c.delivered = c.delivered[:0]
		c.mu.Unlock()
	}
	began := time.Now()
	made, errs := make([]int, len(b.clients)), make([]error, len(b.clients))
	var wg sync.WaitGroup
	for i, c := range b.clients {
		wg.Go(func() {
			for errs[i] == nil && time.Since(began) < d {
				if errs[i] = b.make(c, made[i]); errs[i] == nil {
					made[i]++
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	if err := errors.Join(errs...); err != nil {
		return measurement{}, err
	}
	var m measurement
	var all []time.Duration
	for i, c := range b.clients {
		m.rate += float64(made[i]) / took.Seconds()
		c.mu.Lock()
		all = append(all, c.delivered...)
		c.mu.Unlock()
	}
	if len(all) == 0 {
		return measurement{}, errors.New("nobody was told of anything in the time; measure for longer")
	}
	slices.Sort(all)
	m.p50, m.p99 = all[len(all)/2], all[len(all)*99/100]
	return m, nil
}

// make makes one change, whose value is when it is sent, and waits until it is
// acknowledged.
func (b *benchRoom) make(c *benchClient, i int) error {
	args := b.change(c.room, c.index, i)
	args = append(args, strconv.FormatInt(int64(time.Since(b.start)), 10))
	if err := c.send("doc:cmd", map[string]any{"room": "room_" + c.room, "args": args}); err != nil {
		return err
	}
	select {
	case <-c.acks:
		return nil
	case <-c.lost:
		return errors.New("the server closed a connection")
	}
}

func (b *benchRoom) close() {
	for _, c := range b.clients {
		_ = c.conn.Close() // the server notices
	}
	b.readers.Wait()
}
