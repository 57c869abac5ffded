package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

// socketFlags are the flags of every measurement of sockets.
type socketFlags struct {
	Rounds int    `default:"3" help:"How often each is measured, in rotating order; the median counts (default: ${default})."`
	Pin    bool   `default:"true" negatable:"" help:"Give the server one core and the clients another, if there are two (default: ${default})."`
	PeerJS string `name:"peerjs" placeholder:"COMMAND" help:"Measure a PeerJS server in the same run: what starts it, as 'node node_modules/.bin/peerjs --host 127.0.0.1 --port {port} --concurrent_limit 20000'."`
	Bare   string `placeholder:"COMMAND" help:"Measure a relay that does nothing else in the same run, which speaks as a PeerJS server does: what starts it, with {port}."`
	Dir    string `placeholder:"DIR" help:"A folder for the server's data (default: a temporary one in the current folder)."`
}

func (c socketFlags) check(connections []int, d time.Duration) error {
	if c.Rounds < 1 || d <= 0 || len(connections) == 0 || slices.Min(connections) < 2 {
		return errors.New("bench: rounds and time must be positive, and connections at least 2")
	}
	if slices.ContainsFunc(connections, func(n int) bool { return n%2 != 0 }) {
		return errors.New("bench: connections come in pairs; say an even number of them")
	}
	return nil
}

// with enters the people, of whom there are enough for the most connections,
// and has them measured.
func (c socketFlags) with(ctx context.Context, connections []int, measure func(*people) error) (err error) {
	folder, err := os.MkdirTemp(cmp.Or(c.Dir, "."), "usher-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	p, err := populate(ctx, folder, slices.Max(connections))
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if server, clients, ok := apart(); ok && c.Pin {
		back, pinErr := keepTo(clients)
		if pinErr != nil {
			return fmt.Errorf("bench: %w", pinErr)
		}
		defer func() { err = errors.Join(err, back()) }()
		p.core = &server
	}
	return measure(p)
}

// servers are those to measure over plain sockets.
func (c socketFlags) servers(p *people) []socketServer {
	servers := []socketServer{usherServer(p, "http")}
	for _, peer := range []struct{ name, command string }{{"bare", c.Bare}, {"peerjs", c.PeerJS}} {
		if peer.command != "" {
			servers = append(servers, peerJSServer(p, peer.name, peer.command))
		}
	}
	return servers
}

type benchRelay struct {
	Connections []int         `default:"1000,10000" help:"How many are connected, two and two (default: ${default})."`
	Sizes       []int         `default:"200,1500" help:"Bytes of a message's payload (default: ${default})."`
	Window      int           `default:"64" help:"How many messages are under way when as many are sent as the server takes (default: ${default})."`
	Rate        float64       `default:"2000" help:"Messages a second of which it is measured how soon they arrive (default: ${default})."`
	Time        time.Duration `default:"3s" help:"How long each measurement takes (default: ${default})."`
	socketFlags
}

// relayKey is one row of the table.
type relayKey struct {
	connections int
	server      string
	size        int
}

// relayResults is what was measured of a row: at saturation, and at the rate.
type relayResults struct{ most, paced []relayed }

// Run measures what it takes to relay messages between authenticated people of
// whom one lists the other, with server and clients in processes of their own.
func (c benchRelay) Run(ctx context.Context, env environment) error {
	if err := c.check(c.Connections, c.Time); err != nil {
		return err
	}
	if c.Window < 1 || c.Rate <= 0 || len(c.Sizes) == 0 || slices.Min(c.Sizes) < 64 {
		return errors.New("bench relay: window and rate must be positive, and sizes at least 64")
	}
	return c.with(ctx, c.Connections, func(p *people) error {
		servers := c.servers(p)
		results := map[relayKey]*relayResults{}
		for _, n := range c.Connections {
			for round := range c.Rounds {
				for i := range servers {
					s := servers[(i+round)%len(servers)]
					if err := c.measure(ctx, env, s, n, results); err != nil {
						return fmt.Errorf("bench relay: %s: %w", s.name, err)
					}
				}
			}
		}
		return c.print(env.Stdout, servers, results)
	})
}

// measure runs one server with so many connections.
func (c benchRelay) measure(ctx context.Context, env environment, s socketServer, n int, results map[relayKey]*relayResults) error {
	p, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer p.stop()
	clients, err := gather(ctx, s, p.base, n)
	if err != nil {
		return err
	}
	defer clients.close()
	for _, size := range c.Sizes {
		clients.load(s, size)
		most, err := clients.run(p, c.Time, c.Window, 0)
		if err != nil {
			return err
		}
		paced, err := clients.run(p, c.Time, 0, c.Rate)
		if err != nil {
			return err
		}
		fmt.Fprintf(env.Stderr, "%d connections, %s, %d bytes: %.0f messages/s\n", n, s.name, size, most.rate)
		key := relayKey{n, s.name, size}
		if results[key] == nil {
			results[key] = &relayResults{}
		}
		results[key].most, results[key].paced = append(results[key].most, most), append(results[key].paced, paced)
	}
	return nil
}

// print prints a row for each number of connections, server and size. Its ratios
// are to the last server, round by round, and its last column is how the cost
// of a message grows from the smallest number of connections.
func (c benchRelay) print(w io.Writer, servers []socketServer, results map[relayKey]*relayResults) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "connections\tserver\tbytes\tmessages/s\tof last\tCPU/message\tof last\tp50\tp99\tgrowth\t")
	cost := func(r relayed) float64 { return float64(r.cpu) }
	for _, n := range c.Connections {
		for _, size := range c.Sizes {
			for _, s := range servers {
				r := results[relayKey{n, s.name, size}]
				reference := results[relayKey{n, servers[len(servers)-1].name, size}]
				paced := r.paced[len(r.paced)/2]
				slices.SortFunc(r.paced, func(a, b relayed) int { return cmp.Compare(a.p50, b.p50) })
				paced = r.paced[len(r.paced)/2]
				cpu := middle(r.most, cost)
				grown := growth(c.Connections[0], n, middle(results[relayKey{c.Connections[0], s.name, size}].most, cost), cpu)
				fmt.Fprintf(out, "%d\t%s\t%d\t%.0f\t%.2f\t%s\t%.2f\t%s\t%s\t%s\t\n", n, s.name, size,
					middle(r.most, func(r relayed) float64 { return r.rate }),
					ratio(r.most, reference.most, func(r relayed) float64 { return r.rate }),
					shortMicros(time.Duration(cpu)), ratio(r.most, reference.most, cost),
					shortMicros(paced.p50), shortMicros(paced.p99), grown)
			}
		}
	}
	return out.Flush()
}

// middle is the median of a value.
func middle[T any](results []T, value func(T) float64) float64 {
	var values []float64
	for _, r := range results {
		values = append(values, value(r))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// ratio is the median of a value's ratio to the reference's of the same round.
func ratio[T any](results, reference []T, value func(T) float64) float64 {
	var ratios []float64
	for i := range results {
		ratios = append(ratios, value(results[i])/value(reference[i]))
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}

// growth tells with which power of the number a cost grows: 0 is not at all, and
// 1 in proportion.
func growth(from, to int, before, after float64) string {
	if from == to || before <= 0 || after <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", math.Log(after/before)/math.Log(float64(to)/float64(from)))
}

func shortMicros(d time.Duration) string { return d.Round(100 * time.Nanosecond).String() }
