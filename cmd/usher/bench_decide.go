package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/store/sqlstore"
)

type benchDecide struct {
	Clients []int         `default:"1,16,64" help:"How many clients call at a time (default: ${default})."`
	Time    time.Duration `default:"1s" help:"How long each measurement takes (default: ${default})."`
	Rounds  int           `default:"5" help:"How often each is measured; the median counts (default: ${default})."`
	Dir     string        `placeholder:"DIR" help:"A folder on the disk to measure (default: a temporary one in the current folder)."`
}

// measuredCall is one call to measure.
type measuredCall struct {
	name, method, url string
	token             usher.Secret
	status            int
}

// Run measures, in the same process and in turns, calls of this server whose
// callers are authenticated, and that are decided and recorded, and calls of a
// handler of net/http that says hello.
func (c benchDecide) Run(ctx context.Context, env environment) (err error) {
	if c.Rounds < 1 || c.Time <= 0 || len(c.Clients) == 0 || slices.Min(c.Clients) < 1 {
		return errors.New("bench decide: rounds, time and clients must be positive")
	}
	folder, err := os.MkdirTemp(cmp.Or(c.Dir, "."), "usher-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	s, err := startBench(ctx, folder, sqlstore.Full)
	if err != nil {
		return fmt.Errorf("bench decide: %w", err)
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	bare, err := startBare()
	if err != nil {
		return fmt.Errorf("bench decide: %w", err)
	}
	defer func() { err = errors.Join(err, bare.Close()) }()
	calls, err := callsToMeasure(ctx, s)
	if err != nil {
		return fmt.Errorf("bench decide: %w", err)
	}
	calls = append([]measuredCall{{name: "bare", method: http.MethodGet, url: "http://" + bare.Addr + "/hello", status: http.StatusOK}}, calls...)
	fmt.Fprintf(env.Stderr, "measuring %v of each of %d calls, %d rounds, at %v clients\n", c.Time, len(calls), c.Rounds, c.Clients)

	out := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "clients\tcall\trequests/s\tp50\tp99\tof bare\t")
	for _, clients := range c.Clients {
		if err := c.row(ctx, out, clients, calls); err != nil {
			return fmt.Errorf("bench decide: %w", err)
		}
	}
	return out.Flush()
}

// row measures every call, the first of which is the bare one, with so many
// clients.
func (c benchDecide) row(ctx context.Context, out io.Writer, clients int, calls []measuredCall) error {
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	results := make([][]measurement, len(calls))
	for range c.Rounds {
		for i, call := range calls {
			m, err := load(clients, c.Time, func() error { return call.send(ctx, transport) })
			if err != nil {
				return fmt.Errorf("%s: %w", call.name, err)
			}
			results[i] = append(results[i], m)
		}
	}
	for i, call := range calls {
		var ratios []float64
		for round := range c.Rounds {
			ratios = append(ratios, results[i][round].rate/results[0][round].rate)
		}
		slices.Sort(ratios)
		m := median(results[i])
		fmt.Fprintf(out, "%d\t%s\t%.0f\t%s\t%s\t%.2f\t\n", clients, call.name, m.rate, shortTime(m.p50), shortTime(m.p99), ratios[len(ratios)/2])
	}
	return nil
}

// send sends the call once.
func (m measuredCall) send(ctx context.Context, transport http.RoundTripper) error {
	var body io.Reader
	if m.method == http.MethodPost {
		body = strings.NewReader("{}")
	}
	req, err := http.NewRequestWithContext(ctx, m.method, m.url, body)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if m.token != "" {
		req.Header.Set("Authorization", "Bearer "+m.token.Reveal())
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(resp.Body)
	err = errors.Join(err, resp.Body.Close())
	if err == nil && resp.StatusCode != m.status {
		err = fmt.Errorf("got %s, want status %d: %s", resp.Status, m.status, answer)
	}
	return err
}

// startBare serves what costs the least that net/http can.
func startBare() (*http.Server, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello") // it fails only if the caller is gone
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &http.Server{Addr: l.Addr().String(), Handler: mux, ReadHeaderTimeout: headerTime}
	go func() { _ = s.Serve(l) }() // it returns when the server is closed
	return s, nil
}

// callsToMeasure makes a back end with a room, and a user who is a stranger to it.
func callsToMeasure(ctx context.Context, s *benchServer) ([]measuredCall, error) {
	added, err := s.access.AddClient(ctx, localOperator(), access.ClientSpec{Name: "bench", APIKey: true}, "")
	if err != nil {
		return nil, err
	}
	backEnd := usher.Identity{App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: string(added.ID), Scopes: added.Scopes}
	room, err := s.access.CreateRoom(ctx, backEnd, access.RoomSpec{Name: "bench"}, "")
	if err != nil {
		return nil, err
	}
	user, _, err := s.callers.dev.Issue("Bench", "")
	if err != nil {
		return nil, err
	}
	url := s.base + "/api/v1/rooms/" + string(room.ID)
	return []measuredCall{
		{"read a room, API key", http.MethodGet, url, added.Key, http.StatusOK},
		{"read a room, user's token", http.MethodGet, url, user, http.StatusOK},
		{"enter a room, user's token, refused", http.MethodPost, url + "/participants", user, http.StatusForbidden},
	}, nil
}
