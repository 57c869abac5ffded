package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"usher/client"
	"usher/internal/store/sqlstore"
)

// benchCommand is `usher bench`.
type benchCommand struct {
	Join   benchJoin   `cmd:"" help:"Joins per second: create a room, add a participant, claim the secret, each on disk before it is answered."`
	Decide benchDecide `cmd:"" help:"Authenticated, decided and recorded requests per second, beside a bare handler."`
	Collab benchCollab `cmd:"" help:"Changes of documents per second and how soon others are told, by clients in the room and by items of the document."`
	Mint   benchMint   `cmd:"" help:"Credentials minted per second, by platform and format, beside a bare handler and other servers."`
	Relay  benchRelay  `cmd:"" help:"Messages relayed between people per second and how soon they arrive, by connections and size, beside PeerJS."`
	Idle   benchIdle   `cmd:"" help:"Memory of an idle connection and how fast connections are made, plain and with TLS, beside PeerJS."`
}

type benchJoin struct {
	Clients []int         `default:"1,8,64" help:"How many clients join at a time (default: ${default})."`
	Time    time.Duration `default:"2s" help:"How long each measurement takes (default: ${default})."`
	Rounds  int           `default:"3" help:"How often each is measured; the median counts (default: ${default})."`
	Dir     string        `placeholder:"DIR" help:"A folder on the disk to measure (default: a temporary one in the current folder)."`
}

// Run measures the server of this binary, with syncing as it always is and,
// in the same run and in turns, with syncing switched off.
func (c benchJoin) Run(ctx context.Context, env environment) (err error) {
	if c.Rounds < 1 || c.Time <= 0 || len(c.Clients) == 0 || slices.Min(c.Clients) < 1 {
		return errors.New("bench join: rounds, time and clients must be positive")
	}
	folder, err := os.MkdirTemp(cmp.Or(c.Dir, "."), "usher-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	fmt.Fprintf(env.Stderr, "measuring %v of joins, %d rounds, with and without syncing, at %v clients\n", c.Time, c.Rounds, c.Clients)

	out := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "clients\tjoins/s\tp50\tp99\tunsynced joins/s\tp50\tp99\tsynced/unsynced\t")
	for _, clients := range c.Clients {
		var synced, unsynced []measurement
		for round := range c.Rounds {
			for _, mode := range []sqlstore.Synchronous{sqlstore.Full, sqlstore.Off} {
				r, err := c.measure(ctx, folder, mode, clients)
				if err != nil {
					return fmt.Errorf("bench join: %w", err)
				}
				if mode == sqlstore.Full {
					synced = append(synced, r)
				} else {
					unsynced = append(unsynced, r)
				}
			}
			fmt.Fprintf(env.Stderr, "%d clients, round %d: %.0f joins/s, unsynced %.0f\n", clients, round+1, synced[round].rate, unsynced[round].rate)
		}
		var ratios []float64
		for i := range synced {
			ratios = append(ratios, synced[i].rate/unsynced[i].rate)
		}
		slices.Sort(ratios)
		s, u := median(synced), median(unsynced)
		fmt.Fprintf(out, "%d\t%.0f\t%s\t%s\t%.0f\t%s\t%s\t%.2f\t\n", clients,
			s.rate, shortTime(s.p50), shortTime(s.p99), u.rate, shortTime(u.p50), shortTime(u.p99), ratios[len(ratios)/2])
	}
	return out.Flush()
}

// measure runs one server on an empty folder and lets the clients join.
func (c benchJoin) measure(ctx context.Context, parent string, mode sqlstore.Synchronous, clients int) (measurement, error) {
	s, err := startBench(ctx, parent, mode, nil)
	if err != nil {
		return measurement{}, err
	}
	result, err := c.load(ctx, s.base, clients)
	return result, errors.Join(err, s.stop())
}

// load lets the clients join one room after the other for the configured time.
func (c benchJoin) load(ctx context.Context, base string, clients int) (measurement, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Time+time.Minute)
	defer cancel()
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	api, err := client.New(base, client.Options{Transport: transport})
	if err != nil {
		return measurement{}, err
	}
	if err := join(ctx, api); err != nil { // opens the store's files
		return measurement{}, err
	}
	return load(clients, c.Time, func() error { return join(ctx, api) })
}

// join is what is measured: three durable writes, one after the other.
func join(ctx context.Context, api *client.API) error {
	room, err := api.CreateRoom(ctx, client.CreateRoomRequest{})
	if err != nil {
		return err
	}
	invited, err := api.AddParticipant(ctx, string(room.ID), client.AddParticipantRequest{})
	if err != nil {
		return err
	}
	_, err = api.Claim(ctx, room.ID, invited.ID, invited.Secret)
	return err
}
