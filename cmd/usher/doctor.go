package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"usher/internal/config"
	"usher/internal/datadir"
	"usher/internal/egress"
	"usher/internal/identity"
	"usher/internal/store/dynamostore"
	"usher/internal/store/sqlstore"
)

// doctorCommand is `usher doctor`.
type doctorCommand struct {
	Server doctorServer `cmd:"" default:"withargs" help:"Check the configuration, the machine, and whom the server depends on. This is what is done if nothing is said."`
	Janus  doctorJanus  `cmd:"" help:"Check a Janus server: does it refuse who has no token, do the clocks agree, can it read the key."`
}

type doctorServer struct {
	configFlags
	JSON bool `help:"Print JSON, one finding a line."`
}

// The levels of findings.
const (
	wellLevel    = "ok"
	warningLevel = "warning"
	faultLevel   = "fault"
)

// finding is what an examination says about one thing.
type finding struct {
	Level string `json:"level"`
	Check string `json:"check"`
	// Message says how it is, and Do what to do about it.
	Message string `json:"message"`
	Do      string `json:"do,omitempty"`
}

// examination collects findings.
type examination struct {
	cfg      config.Config
	now      func() time.Time
	findings []finding
}

func (e *examination) well(check, message string) { e.add(wellLevel, check, message, "") }

func (e *examination) add(level, check, message, do string) {
	e.findings = append(e.findings, finding{level, check, message, do})
}

// Run examines everything, and fails if anything is at fault.
func (c doctorServer) Run(ctx context.Context, env environment) error {
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	e := &examination{now: time.Now}
	cfg, warnings, err := c.load(env, nil)
	wrong, listed := errors.AsType[*config.Error](err)
	switch {
	case listed:
		for _, p := range wrong.Problems {
			e.add(faultLevel, "configuration", p.String(), "mend it; 'usher config doc' explains every setting")
		}
	case err != nil:
		return err
	default:
		e.cfg = cfg
		e.all(ctx, warnings)
	}
	return e.print(env, c.JSON)
}

// all examines what there is to be examined with a sound configuration.
func (e *examination) all(ctx context.Context, warnings []string) {
	e.well("configuration", "it is sound")
	for _, w := range warnings {
		e.add(warningLevel, "configuration", w, "")
	}
	e.data()
	served := e.served(ctx)
	if !served {
		e.database(ctx)
		e.ports()
	}
	e.certificates(ctx, served)
	e.files()
	e.issuers(ctx)
	e.platforms(ctx)
	e.webhooks(ctx)
}

// print writes the findings, and returns an error if any is a fault.
func (e *examination) print(env environment, asJSON bool) error {
	faults := 0
	lines := json.NewEncoder(env.Stdout)
	for _, f := range e.findings {
		if f.Level == faultLevel {
			faults++
		}
		var err error
		if asJSON {
			err = lines.Encode(f)
		} else {
			text := f.Message
			if f.Do != "" {
				text += "\n         do: " + f.Do
			}
			_, err = fmt.Fprintf(env.Stdout, "%-8s %s: %s\n", f.Level, f.Check, text)
		}
		if err != nil {
			return err
		}
	}
	if faults > 0 {
		return fmt.Errorf("%d of these must be mended", faults)
	}
	return nil
}

// What is too little room on the disk.
const (
	littleRoom = 1 << 30
	noRoom     = 100 << 20
)

// data examines the data folder, its keys and its disk.
func (e *examination) data() {
	const check = "data"
	folder := e.cfg.Data
	info, err := os.Stat(folder)
	if errors.Is(err, os.ErrNotExist) {
		e.well(check, folder+" is not there yet, and made when the server starts")
		folder = filepath.Dir(filepath.Clean(folder))
	} else if err != nil {
		e.add(faultLevel, check, err.Error(), "let the server's user read and write "+folder)
		return
	} else {
		e.folder(folder, info)
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(folder, &disk); err != nil {
		e.add(warningLevel, "disk", fmt.Sprintf("how full it is can't be read: %v", err), "")
		return
	}
	switch free := disk.Bavail * uint64(disk.Bsize); {
	case free < noRoom:
		e.add(faultLevel, "disk", fmt.Sprintf("%d MiB are free where the data is: soon nothing can be written, and every call that writes fails", free>>20), "make room, or set audit.keepBytes lower")
	case free < littleRoom:
		e.add(warningLevel, "disk", fmt.Sprintf("%d MiB are free where the data is", free>>20), "make room; audit.keepBytes bounds the record")
	default:
		e.well("disk", fmt.Sprintf("%d GiB are free", free>>30))
	}
}

// folder examines a data folder that is there.
func (e *examination) folder(folder string, info os.FileInfo) {
	if info.Mode().Perm()&0o077 != 0 {
		e.add(faultLevel, "data", fmt.Sprintf("%s can be read by others (%v): keys are in it", folder, info.Mode().Perm()), "chmod 700 "+folder)
	} else {
		e.well("data", folder+" is its owner's alone")
	}
	there := func(name string) bool { _, err := os.Stat(filepath.Join(folder, name)); return err == nil }
	if there(databaseName) && !there(sealName) && e.cfg.Store.SealKey == "" {
		e.add(faultLevel, "keys", sealName+" is missing: the signing keys in the database can't be opened", "restore it from the backup that the database is from")
	}
}

// served examines the server on the data folder, and reports whether one runs.
func (e *examination) served(ctx context.Context) bool {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return datadir.Dial(ctx, e.cfg.Data) },
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, controlBase+"/readyz", nil)
	if err != nil {
		return false
	}
	res, err := transport.RoundTrip(req)
	switch {
	case errors.Is(err, datadir.ErrNotServed):
		return false
	case err != nil:
		e.add(faultLevel, "server", fmt.Sprintf("one runs on the data folder, but does not answer: %v", err), "see what its log says")
		return true
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		e.add(faultLevel, "server", "one runs on the data folder, but is not ready: it is starting, stopping, or can't reach its store", "see what its log says")
	} else {
		e.well("server", "one runs on the data folder, has its ports, and is ready")
	}
	return true
}

// readingTime bounds how long a database is read.
const readingTime = 20 * time.Second

// database reads all of the database that no server has open.
func (e *examination) database(ctx context.Context) {
	const check = "database"
	if e.cfg.Store.Driver == config.DynamoDB {
		e.tables(ctx)
		return
	}
	path := filepath.Join(e.cfg.Data, databaseName)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readingTime)
	defer cancel()
	switch err := sqlstore.Check(ctx, path); {
	case err == nil:
		e.well(check, "it is whole")
	case ctx.Err() != nil:
		e.add(warningLevel, check, fmt.Sprintf("it is too large to be read within %v; so far nothing is wrong", readingTime), "")
	default:
		e.add(faultLevel, check, err.Error(), "keep a copy of the folder, and restore the last backup: usher restore FILE --data DIR")
	}
}

// tables examines those on DynamoDB.
func (e *examination) tables(ctx context.Context) {
	const check = "store"
	db, err := dynamostore.Open(ctx, dynamoConfig(e.cfg, slog.New(slog.DiscardHandler)))
	if err == nil {
		err = errors.Join(db.Ping(ctx), db.Close())
	}
	if err != nil {
		e.add(faultLevel, check, fmt.Sprintf("the tables can't be read: %v", err), "'usher migrate' makes those that are missing; see that the credentials may use them")
		return
	}
	e.well(check, "the tables answer")
}

// ports examines the addresses to listen on.
func (e *examination) ports() {
	s, relay := e.cfg.Server, e.cfg.TURNServer
	for _, p := range []struct {
		key, network string
		addresses    []string
	}{
		{"server.http", "tcp", s.HTTPAddresses()}, {"server.https", "tcp", s.HTTPSAddresses()}, {"server.debug", "tcp", []string{s.Debug}},
		{"turnServer.tcp", "tcp", []string{relay.TCP}}, {"turnServer.udp", "udp", []string{relay.UDP}},
	} {
		if len(p.addresses) == 0 || p.addresses[0] == "" {
			continue
		}
		if err := free(p.network, p.addresses[0]); err != nil { // a machine may lack those after the first
			e.add(faultLevel, "ports", fmt.Sprintf("%s: %v", p.key, err), "stop the program that has it, or choose another address; ports below 1024 need CAP_NET_BIND_SERVICE")
			continue
		}
		e.well("ports", fmt.Sprintf("%s: %s is free", p.key, p.addresses[0]))
	}
}

// free returns an error unless the address can be listened on.
func free(network, address string) error {
	if network == "udp" {
		conn, err := net.ListenPacket(network, address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	return l.Close()
}

// fewFiles is how many descriptors are few: each connection takes one.
const fewFiles = 4096

func (e *examination) files() {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return
	}
	if limit.Cur < fewFiles {
		e.add(warningLevel, "limits", fmt.Sprintf("a process may have %d files open, and each connection takes one", limit.Cur), "raise it: LimitNOFILE=65536 in a systemd unit, or ulimit -n 65536")
		return
	}
	e.well("limits", fmt.Sprintf("a process may have %d files open", limit.Cur))
}

// By how much clocks may differ: tokens have times in them.
const (
	oddClock   = 5 * time.Second
	wrongClock = 30 * time.Second
)

// issuers examines whether issuers answer, and what time it is there.
func (e *examination) issuers(ctx context.Context) {
	all, err := identity.NewIssuers(identity.IssuersConfig{Issuers: e.cfg.Issuers, Now: e.now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		e.add(faultLevel, "issuers", err.Error(), "")
		return
	}
	defer all.Close()
	for _, name := range all.Names() {
		if err := all.Probe(ctx, name); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			e.add(faultLevel, "issuers", fmt.Sprintf("%s: %v", name, err), "see that this machine reaches it, and that its address is right: nobody can sign in without it")
			continue
		}
		e.well("issuers", name+" answers")
		e.clock(ctx, name)
	}
}

// clock compares the clock with that of a server.
func (e *examination) clock(ctx context.Context, address string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, address, nil)
	if err != nil {
		return
	}
	res, err := egress.Client(nil).Do(req)
	if err != nil {
		return // that it answers is examined elsewhere
	}
	_ = res.Body.Close()
	there, err := http.ParseTime(res.Header.Get("Date"))
	if err != nil {
		return
	}
	switch off := e.now().Sub(there); {
	case off.Abs() > wrongClock:
		e.add(faultLevel, "clock", fmt.Sprintf("it differs by %v from that of %s: tokens are refused, or good for too long", off.Round(time.Second), address), "set it: timedatectl set-ntp true")
	case off.Abs() > oddClock:
		e.add(warningLevel, "clock", fmt.Sprintf("it differs by %v from that of %s", off.Round(time.Second), address), "set it: timedatectl set-ntp true")
	default:
		e.well("clock", "it agrees with that of "+address)
	}
}

// webhooks examines whether targets have addresses that they may have.
func (e *examination) webhooks(ctx context.Context) {
	for _, t := range e.cfg.Webhooks {
		u, err := url.Parse(t.URL)
		if err != nil {
			continue // the configuration would not be sound
		}
		addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
		switch private := firstPrivate(addrs); {
		case err != nil:
			e.add(faultLevel, "webhooks", fmt.Sprintf("%s: its host %s is not found", t.Name, u.Hostname()), "mend the address, or the name service")
		case private.IsValid() && !t.AllowPrivate:
			e.add(faultLevel, "webhooks", fmt.Sprintf("%s: its host has the address %v, which is not a public one, so that nothing is sent there", t.Name, private), "set allowPrivate: true for this target, if it may be there")
		default:
			e.well("webhooks", t.Name+" is found")
		}
	}
}

func firstPrivate(addrs []netip.Addr) netip.Addr {
	for _, a := range addrs {
		if !egress.Public(a) {
			return a.Unmap() // as people write it
		}
	}
	return netip.Addr{}
}
