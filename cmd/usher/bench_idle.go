package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

type benchIdle struct {
	Connections []int         `default:"1000,10000,18000" help:"How many connect (default: ${default})."`
	Time        time.Duration `default:"3s" help:"How long they are idle before the memory is read (default: ${default})."`
	socketFlags
}

// idleKey is one row of the table.
type idleKey struct {
	connections int
	server      string
}

// idled is what was measured of idle connections.
type idled struct {
	rate   float64       // connections a second, made and authenticated
	cpu    time.Duration // of the server, for each
	memory float64       // bytes resident, for each
	total  int64
}

// Run measures what connections cost that are authenticated and say nothing.
func (c benchIdle) Run(ctx context.Context, env environment) error {
	if err := c.check(c.Connections, c.Time); err != nil {
		return err
	}
	return c.with(ctx, c.Connections, func(p *people) error {
		secure := usherServer(p, "https")
		secure.name = "usher, TLS"
		servers := slices.Insert(c.servers(p), 1, secure)
		results := map[idleKey][]idled{}
		for _, n := range c.Connections {
			for round := range c.Rounds {
				for i := range servers {
					s := servers[(i+round)%len(servers)]
					r, err := c.measure(ctx, s, n)
					if err != nil {
						return fmt.Errorf("bench idle: %s: %w", s.name, err)
					}
					fmt.Fprintf(env.Stderr, "%d connections, %s: %.0f made a second, %.0f bytes each\n", n, s.name, r.rate, r.memory)
					results[idleKey{n, s.name}] = append(results[idleKey{n, s.name}], r)
				}
			}
		}
		return c.print(env.Stdout, servers, results)
	})
}

// measure runs one server, to which so many connect.
func (c benchIdle) measure(ctx context.Context, s socketServer, n int) (r idled, err error) {
	p, err := s.start(ctx)
	if err != nil {
		return r, err
	}
	defer p.stop()
	// A first one opens what is opened only once: files, and keys that are fetched.
	first, err := gather(ctx, s, p.base, 2)
	if err != nil {
		return r, err
	}
	first.close()
	before, err := p.resident()
	if err != nil {
		return r, err
	}
	took, err := p.cpu()
	if err != nil {
		return r, err
	}
	began := time.Now()
	clients, err := gather(ctx, s, p.base, n)
	if err != nil {
		return r, err
	}
	defer clients.close()
	r.rate = float64(n) / time.Since(began).Seconds()
	after, err := p.cpu()
	if err != nil {
		return r, err
	}
	r.cpu = (after - took) / time.Duration(n)
	if err := clients.until(time.Since(clients.start) + c.Time); err != nil {
		return r, err
	}
	r.total, err = p.resident()
	r.memory = float64(r.total-before) / float64(n)
	return r, err
}

// print prints a row for each number of connections and server. Its last column
// is how the memory of a connection grows from the smallest number of them.
func (c benchIdle) print(w io.Writer, servers []socketServer, results map[idleKey][]idled) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "connections\tserver\tmade/s\tCPU/connection\tKiB/connection\tMiB in all\tgrowth\t")
	memory := func(r idled) float64 { return r.memory }
	for _, n := range c.Connections {
		for _, s := range servers {
			r := results[idleKey{n, s.name}]
			fmt.Fprintf(out, "%d\t%s\t%.0f\t%s\t%.1f\t%.0f\t%s\t\n", n, s.name,
				middle(r, func(r idled) float64 { return r.rate }),
				shortMicros(time.Duration(middle(r, func(r idled) float64 { return float64(r.cpu) }))),
				middle(r, memory)/(1<<10), middle(r, func(r idled) float64 { return float64(r.total) })/(1<<20),
				growth(c.Connections[0], n, middle(results[idleKey{c.Connections[0], s.name}], memory), middle(r, memory)))
		}
	}
	return out.Flush()
}
