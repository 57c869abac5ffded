package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"usher"
	"usher/internal/store/sqlstore"
)

// socketServer is a kind of server whose sockets are measured, in a process of
// its own, so that what it costs can be told from what the measuring costs.
type socketServer struct {
	name string
	// start runs one, and returns it when it answers.
	start func(ctx context.Context) (*measuredProcess, error)
	// url is what connection i connects to, subprotocol what it asks for, and
	// hello what it says first; the server's greeting contains greeting.
	url         func(base string, i int) string
	subprotocol string
	hello       func(i int) string
	greeting    string
	// envelope is what stands before the payload of a message to connection i,
	// and is closed by a brace.
	envelope func(to int) string
}

// measuredProcess is a server that runs.
type measuredProcess struct {
	base string
	cmd  *exec.Cmd
	read sync.WaitGroup // what it prints
}

// stopTime is how long a server may take to stop before it is killed.
const stopTime = 15 * time.Second

// stop ends the process.
func (p *measuredProcess) stop() {
	kill := time.AfterFunc(stopTime, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	_ = p.cmd.Process.Signal(os.Interrupt) // it is gone if that fails
	p.read.Wait()
	_ = p.cmd.Wait() // how it ends is of no interest
}

// clockTick is the unit of the times in /proc/PID/stat, on every Linux.
const clockTick = 10 * time.Millisecond

// cpu returns the processor time that the process has taken.
func (p *measuredProcess) cpu() (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 13 {
		return 0, errors.New("/proc/PID/stat is short")
	}
	user, err := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	return time.Duration(user+system) * clockTick, errors.Join(err, err2)
}

// resident returns how many bytes of memory the process occupies.
func (p *measuredProcess) resident() (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(data), "VmRSS:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0, errors.New("/proc/PID/status has no VmRSS")
	}
	kib, err := strconv.ParseInt(fields[0], 10, 64)
	return kib << 10, err
}

// people are those who connect to our own server: two and two list each other.
type people struct {
	folder string
	ids    []string
	tokens []usher.Secret
	core   *cores // that servers run on; nil is any
}

// start starts a server's process on the core that is for it.
func (p *people) start(cmd *exec.Cmd) error {
	if p.core == nil {
		return cmd.Start()
	}
	return startOn(*p.core, cmd.Start)
}

// populate enters so many people in the database of a folder that no server
// holds, and issues their tokens.
func populate(ctx context.Context, folder string, n int) (_ *people, err error) {
	s, err := startBench(ctx, folder, sqlstore.Off, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	p := &people{folder: s.folder, ids: make([]string, n), tokens: make([]usher.Secret, n)}
	keys := make([]string, n)
	now := time.Now().UTC().Truncate(time.Microsecond)
	err = each(n, func(i int) error {
		token, id, err := s.callers.dev.Issue(fmt.Sprint("p", i), "")
		if err != nil {
			return err
		}
		keys[i], p.ids[i], p.tokens[i] = id.Key(), usher.UserID(id.Issuer, id.Key()), token
		return s.db.Users().Create(ctx, usher.User{App: id.App, Key: id.Key(), Name: id.Name, ProvenAt: now, CreatedAt: now, UpdatedAt: now, Version: 1})
	})
	if err != nil {
		return nil, err
	}
	return p, each(n, func(i int) error {
		_, err := s.db.Contacts().Add(ctx, usher.Contact{App: usher.DefaultApp, Owner: keys[i], User: keys[i^1], AddedAt: now}, 1)
		return err
	})
}

// eachAtATime is how many connections are made, or people entered, at a time.
const eachAtATime = 64

// each calls f with 0 to n-1, many at a time, until one fails.
func each(n int, f func(int) error) error {
	var (
		next atomic.Int64
		wg   sync.WaitGroup
		errs = make([]error, eachAtATime)
	)
	for w := range eachAtATime {
		wg.Go(func() {
			for errs[w] == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if errs[w] = f(i); errs[w] != nil {
					next.Store(int64(n))
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// ownConfig is what the measured server is told: everybody sends as much as it
// takes.
const ownConfig = "signaling:\n  relay: 1000000/1s\n"

// usherServer is this binary, which serves the people on one core.
func usherServer(p *people, scheme string) socketServer {
	return socketServer{
		name:        "usher",
		start:       func(ctx context.Context) (*measuredProcess, error) { return p.startSelf(ctx, scheme) },
		url:         func(base string, _ int) string { return "ws" + strings.TrimPrefix(base, "http") + "/signal" },
		subprotocol: "usher.v1",
		hello:       func(i int) string { return `{"action":"auth","payload":{"token":"` + p.tokens[i].Reveal() + `"}}` },
		greeting:    `"hello"`,
		envelope:    func(to int) string { return `{"action":"sdp","to":"` + p.ids[to] + `","payload":` },
	}
}

// startSelf runs `usher serve` on a port of its own.
func (p *people) startSelf(ctx context.Context, scheme string) (*measuredProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(p.folder, "bench.yaml")
	if err := os.WriteFile(file, []byte(ownConfig), 0o600); err != nil {
		return nil, err
	}
	at := map[string]string{"http": "", "https": "", scheme: "127.0.0.1:0"}
	cmd := exec.CommandContext(ctx, self, "serve", "--dev", "--config", file, "--data", p.folder, "--http", at["http"], "--https", at["https"])
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	output, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.start(cmd); err != nil {
		return nil, err
	}
	m := &measuredProcess{cmd: cmd}
	lines := bufio.NewScanner(output)
	for m.base == "" && lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); strings.HasPrefix(line, scheme+"://") {
			m.base = line
		}
	}
	m.read.Go(func() { _, _ = io.Copy(io.Discard, output) })
	if m.base == "" {
		m.stop()
		return nil, errors.New("usher serve did not say where it serves")
	}
	return m, nil
}

// peerJSServer is a PeerJS server (npm peer), or another that speaks as it does,
// which a command runs in which {port} stands for its port.
func peerJSServer(p *people, name, command string) socketServer {
	id := func(i int) string { return fmt.Sprintf("p%07d", i) }
	return socketServer{
		name:  name,
		start: func(ctx context.Context) (*measuredProcess, error) { return p.startCommand(ctx, command) },
		url: func(base string, i int) string {
			return base + "/peerjs?key=peerjs&id=" + id(i) + "&token=t" + id(i) + "&version=1.5.4"
		},
		greeting: `"OPEN"`,
		envelope: func(to int) string { return `{"type":"OFFER","dst":"` + id(to) + `","payload":` },
	}
}

// startCommand runs a server on a free port, and waits until it is connected to.
func (p *people) startCommand(ctx context.Context, command string) (*measuredProcess, error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := free.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	if err := free.Close(); err != nil {
		return nil, err
	}
	args := strings.Fields(strings.ReplaceAll(command, "{port}", port))
	if len(args) == 0 {
		return nil, errors.New("the command of the server is empty")
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	if err := p.start(cmd); err != nil {
		return nil, err
	}
	m := &measuredProcess{cmd: cmd, base: "ws://" + address}
	for began := time.Now(); time.Since(began) < startTime; {
		if conn, err := net.Dial("tcp", address); err == nil {
			return m, conn.Close()
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	m.stop()
	return nil, fmt.Errorf("%s does not listen on port %s", args[0], port)
}

// startTime is how long a foreign server may take to start.
const startTime = 20 * time.Second
