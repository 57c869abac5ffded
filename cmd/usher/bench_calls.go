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
	"usher/internal/config"
	"usher/internal/store/sqlstore"
)

// callFlags are the flags of every measurement of calls.
type callFlags struct {
	Time   time.Duration `default:"1s" help:"How long each measurement takes (default: ${default})."`
	Rounds int           `default:"5" help:"How often each is measured; the median counts (default: ${default})."`
	Dir    string        `placeholder:"DIR" help:"A folder on the disk to measure (default: a temporary one in the current folder)."`
}

// measuredCall is one call to measure: a GET, or a POST of its body.
type measuredCall struct {
	name, url, body string
	token           usher.Secret
	status          int
}

// compare measures calls of a server of this binary, in the same process and in
// turns, beside a handler of net/http that says hello. The server is set up by
// edit, if that is not nil, and calls makes what is measured.
func (c callFlags) compare(ctx context.Context, env environment, clients []int, edit func(*config.Config), calls func(context.Context, *benchServer) ([]measuredCall, error)) (err error) {
	if c.Rounds < 1 || c.Time <= 0 || len(clients) == 0 || slices.Min(clients) < 1 {
		return errors.New("bench: rounds, time and clients must be positive")
	}
	folder, err := os.MkdirTemp(cmp.Or(c.Dir, "."), "usher-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	s, err := startBench(ctx, folder, sqlstore.Full, edit)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	bare, err := startBare()
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer func() { err = errors.Join(err, bare.Close()) }()
	measured, err := calls(ctx, s)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	measured = append([]measuredCall{{name: "bare", url: "http://" + bare.Addr + "/hello", status: http.StatusOK}}, measured...)
	fmt.Fprintf(env.Stderr, "measuring %v of each of %d calls, %d rounds, at %v clients\n", c.Time, len(measured), c.Rounds, clients)

	out := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "clients\tcall\trequests/s\tp50\tp99\tof bare\t")
	for _, n := range clients {
		if err := c.row(ctx, out, n, measured); err != nil {
			return fmt.Errorf("bench: %w", err)
		}
	}
	return out.Flush()
}

// row measures every call, the first of which is the bare one, with so many
// clients.
func (c callFlags) row(ctx context.Context, out io.Writer, clients int, calls []measuredCall) error {
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
	method, body := http.MethodGet, io.Reader(nil)
	if m.body != "" {
		method, body = http.MethodPost, strings.NewReader(m.body)
	}
	req, err := http.NewRequestWithContext(ctx, method, m.url, body)
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
	_, err = io.Copy(io.Discard, resp.Body)
	err = errors.Join(err, resp.Body.Close())
	if err == nil && resp.StatusCode != m.status {
		err = fmt.Errorf("got %s, want status %d", resp.Status, m.status)
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
