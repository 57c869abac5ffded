package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"usher"
	"usher/client"
	"usher/internal/config"
	"usher/internal/datadir"
)

// initCommand is `usher init`. What a flag has not said is asked on a terminal.
type initCommand struct {
	Config string `placeholder:"FILE" help:"The configuration to write (default: usher.yaml; for root /etc/usher/usher.yaml)."`
	Data   string `placeholder:"DIR" help:"The folder for the database and the keys (default: usher-data; for root /var/lib/usher)."`
	User   string `placeholder:"NAME" help:"The user that the server runs as, to whom the folder is given. Needs root."`

	URL  string `name:"url" placeholder:"URL" help:"What callers reach the server by, as https://usher.example.com."`
	TLS  string `name:"tls" placeholder:"WHO" help:"Who ends TLS: proxy, one in front; or the server, with files of a certificate, or with acme, which gets one from Let's Encrypt."`
	Cert string `placeholder:"FILE" help:"With --tls files: the certificate with its chain (PEM)."`
	Key  string `placeholder:"FILE" help:"With --tls files: the certificate's private key (PEM)."`

	AcceptTerms bool   `help:"With --tls acme: you agree to the terms of Let's Encrypt."`
	ACMEEmail   string `name:"acme-email" placeholder:"ADDR" help:"With --tls acme: where it may write to."`

	HTTP           string   `name:"http" placeholder:"ADDR" help:"Where to listen for plain HTTP, or off (default: 127.0.0.1:8080 behind a proxy, else :80)."`
	HTTPS          string   `name:"https" placeholder:"ADDR" help:"With --tls files or acme: where to listen for HTTPS (default: the port of the URL)."`
	TrustedProxies []string `placeholder:"ADDR" help:"With --tls proxy: the proxy's addresses (default: this machine's)."`

	Issuer   string   `placeholder:"URL" help:"The OpenID Connect issuer whose tokens say who a user is."`
	ClientID string   `name:"client-id" placeholder:"ID" help:"What the page to call from is known by at the issuer."`
	Audience []string `placeholder:"NAME" help:"Whom the issuer's tokens are for, if not the page."`
	Offline  bool     `help:"Do not ask the issuer whether it is there."`

	Operator    string `placeholder:"WHO" help:"Who may see and end everything: user:SUBJECT or group:NAME of the issuer."`
	OperatorKey bool   `help:"Make a back end that may do so, and print its API key: it is shown only now."`

	Dialects         []string `placeholder:"NAME" help:"Which clients of other servers to serve: ${dialects}; or none."`
	AgoraAppID       string   `name:"agora-app-id" placeholder:"ID" help:"With --dialects agora: the project's app id."`
	AgoraCertificate string   `placeholder:"WHERE" help:"With --dialects agora: where the project's certificate is, as file:PATH or env:NAME."`
	JanusURL         string   `name:"janus-url" placeholder:"URL" help:"With --dialects janus: the WebSocket address of the Janus."`
	LiveKitURL       string   `name:"livekit-url" placeholder:"URL" help:"With --dialects livekit: where clients reach the LiveKit."`
	LiveKitKey       string   `name:"livekit-key" placeholder:"KEY" help:"With --dialects livekit: its API key."`
	LiveKitSecret    string   `name:"livekit-secret" placeholder:"WHERE" help:"With --dialects livekit: where the key's secret is, as file:PATH or env:NAME."`

	Yes bool `help:"Ask nothing: take what is usual where no flag says otherwise."`
}

// Run gets the answers, and then makes everything or, with an error, nothing.
// Standard output is the operator's API key, if one was asked for, and nothing else.
func (c *initCommand) Run(ctx context.Context, env environment) error {
	if err := c.answer(ctx, env); err != nil {
		return fmt.Errorf("%w\nnothing was changed", err)
	}
	made, err := c.make(ctx, env)
	if err != nil {
		return err
	}
	for _, w := range made.warnings {
		fmt.Fprintln(env.Stderr, "warning: "+w)
	}
	fmt.Fprintf(env.Stderr, "\nmade %s, with the database and the keys: back it up with 'usher backup'\nwrote %s: every line says what it is for\n", c.Data, c.Config)
	switch {
	case len(made.operators) == 0:
		fmt.Fprintln(env.Stderr, "nobody is an operator but whoever may read the folder: add somebody to operators")
	default:
		fmt.Fprintln(env.Stderr, "may see and end everything:", strings.Join(made.operators, ", "))
	}
	if made.key != "" {
		fmt.Fprintln(env.Stderr, "the API key is shown only now:")
		if _, err := fmt.Fprintln(env.Stdout, made.key.Reveal()); err != nil {
			return err
		}
	}
	fmt.Fprint(env.Stderr, "Next:\n")
	for i, line := range c.next(env.Installed) {
		fmt.Fprintf(env.Stderr, "  %d. %s\n", i+1, line)
	}
	return nil
}

// madeByInit is what there is when all is well.
type madeByInit struct {
	operators []string
	key       usher.Secret // of the operator that is a back end, if there is one
	warnings  []string
}

// initStaging is where the database and the keys are, within the data folder,
// until all is well.
const initStaging = ".init"

// make makes the data folder and writes the configuration, which is the last
// that is done. If anything fails, nothing stays.
func (c *initCommand) make(ctx context.Context, env environment) (made madeByInit, err error) {
	var u undo
	var dir *datadir.Dir
	defer func() {
		if dir != nil { // which is held until everything is taken back
			defer func() { err = errors.Join(err, dir.Close()) }()
		}
		if err == nil {
			return
		}
		if failed := u.all(); failed != nil {
			err = fmt.Errorf("%w\nnot all of it could be taken back: %w", err, failed)
		} else {
			err = fmt.Errorf("%w\nnothing was changed", err)
		}
	}()
	if err := u.dataFolder(c.Data); err != nil {
		return made, err
	}
	if err := u.folder(filepath.Dir(c.Config), 0o755); err != nil {
		return made, err
	}
	if dir, err = datadir.Open(c.Data); err != nil {
		return made, err
	}
	if err := c.freeData(); err != nil { // now that nobody else can change that
		return made, err
	}
	staging := dir.Path(initStaging)
	u.remove(staging)
	if made.operators, made.key, err = c.keys(ctx, staging); err != nil {
		return made, err
	}
	text, err := c.text(made.operators)
	if err != nil {
		return made, err
	}
	if _, made.warnings, err = config.Load(config.Options{Path: c.Config, Text: text, Environ: env.Environ}); err != nil {
		return made, err
	}
	if err := u.settle(staging, dir); err != nil {
		return made, err
	}
	if err := c.give(); err != nil {
		return made, err
	}
	return made, c.write(text, &u)
}

// keys starts the database in a folder, as the first start of a server does, and
// with it the signing keys. It returns the operators, and the API key of one.
func (c *initCommand) keys(ctx context.Context, folder string) (operators []string, key usher.Secret, err error) {
	if c.Operator != "" {
		operators = append(operators, c.Operator)
	}
	quiet := environment{Stdout: io.Discard, Stderr: io.Discard}
	err = dataFlag{Data: folder, create: true}.operate(ctx, quiet, func(a *client.API) error {
		if !c.OperatorKey {
			return nil
		}
		added, err := a.AddClient(ctx, client.AddClientRequest{Name: "operator", APIKey: true})
		operators, key = append(operators, string(usher.ClientIdentity)+":"+string(added.ID)), added.APIKey
		return err
	})
	return operators, key, err
}

// give gives the data folder to the user that the server runs as.
func (c *initCommand) give() error {
	if c.User == "" {
		return nil
	}
	uid, gid, err := idsOf(c.User)
	if err != nil {
		return err
	}
	folder, err := realFolder(c.Data)
	if err != nil {
		return err
	}
	return filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid)
	})
}

// write writes the configuration, unless there is one. Its group is that of the
// server's user, who need not be able to change it.
func (c *initCommand) write(text []byte, u *undo) (err error) {
	folder := filepath.Dir(c.Config)
	f, err := os.CreateTemp(folder, ".usher-init-*")
	if err != nil {
		return fmt.Errorf("can't write beside %s: %w", c.Config, err)
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(0o640))
	if c.User != "" && err == nil {
		var gid int
		if _, gid, err = idsOf(c.User); err == nil {
			err = f.Chown(-1, gid)
		}
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), c.Config); err != nil { // which, unlike a rename, replaces nothing
		return fmt.Errorf("can't make %s: %w", c.Config, err)
	}
	u.remove(c.Config)
	return syncFolder(folder)
}

// text is the configuration as it is written.
func (c *initCommand) text(operators []string) ([]byte, error) {
	var out bytes.Buffer
	err := config.Commented(&out, configHead, c.lines(operators))
	return out.Bytes(), err
}

// freeConfig returns an error if there is a configuration already.
func (c *initCommand) freeConfig() error {
	if _, err := os.Lstat(c.Config); err == nil {
		return fmt.Errorf("%s is there already, and stays as it is: choose another file, or move that one away", c.Config)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// freeData returns an error if the data folder has anything in it.
func (c *initCommand) freeData() error {
	switch name, err := occupied(c.Data); {
	case err != nil:
		return err
	case name == databaseName:
		return fmt.Errorf("%s has the database of a server already, and stays as it is: choose another folder, or write a configuration for it by hand", c.Data)
	case name != "":
		return fmt.Errorf("%s is not empty, it has %s: choose another folder, or move that away", c.Data, name)
	}
	return nil
}

// idsOf returns the numbers of a user of this machine.
func idsOf(name string) (uid, gid int, err error) {
	found, err := user.Lookup(name)
	if err != nil {
		return 0, 0, fmt.Errorf("there is no user %s on this machine", name)
	}
	if uid, err = strconv.Atoi(found.Uid); err == nil {
		gid, err = strconv.Atoi(found.Gid)
	}
	return uid, gid, err
}

// unitConfig is where the unit for systemd has the configuration.
const unitConfig = "/etc/usher/usher.yaml"

// isInstalled reports whether there is a unit for systemd.
func isInstalled() bool {
	return slices.ContainsFunc([]string{"/etc", "/usr/local/lib", "/usr/lib", "/lib"}, func(root string) bool {
		_, err := os.Stat(filepath.Join(root, "systemd/system/usher.service"))
		return err == nil
	})
}

// next are the commands to go on with, to be copied.
func (c *initCommand) next(installed bool) []string {
	as, listening := "", "" // who may listen where the server shall is the user and a capability
	low := privileged(c.HTTP) || privileged(c.HTTPS)
	if c.User != "" {
		as = "runuser -u " + quoted(c.User) + " -- "
		listening = as
		if low {
			listening = fmt.Sprintf("setpriv --reuid %[1]s --regid $(id -g %[1]s) --init-groups --inh-caps +net_bind_service --ambient-caps +net_bind_service -- ", quoted(c.User))
		}
	}
	file := " --config " + quoted(c.Config)
	serve := listening + "usher serve" + file
	if installed && c.Config == unitConfig {
		serve = "systemctl enable --now usher"
		if low {
			serve += " # with deploy/systemd/ports.conf: it listens on a port below 1024"
		}
	}
	return []string{listening + "usher doctor" + file, serve, c.first(as)}
}

// privileged reports whether only root, or who has the capability for it, may
// listen on an address.
func privileged(address string) bool {
	_, text, err := net.SplitHostPort(address)
	port, numbers := strconv.Atoi(text)
	return err == nil && numbers == nil && port > 0 && port < 1024
}

// first is what to do with a server that runs.
func (c *initCommand) first(as string) string {
	switch {
	case c.ClientID != "" && c.Operator != "":
		return "open " + c.URL + "/console and sign in"
	case c.OperatorKey:
		return "curl " + quoted(c.URL+"/api/v1/configuration") + " -H 'Authorization: Bearer <the API key>'"
	default:
		return as + "usher client add --data " + quoted(c.Data) + " --name my-app --api-key"
	}
}

// quoted is a word as a shell takes it.
func quoted(word string) string {
	if strings.ContainsFunc(word, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@", r)
	}) {
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return word
}

// undo is what takes back what was done, the last first.
type undo struct{ steps []func() error }

func (u *undo) all() (err error) {
	for _, step := range slices.Backward(u.steps) {
		err = errors.Join(err, step())
	}
	return err
}

func (u *undo) remove(path string) {
	u.steps = append(u.steps, func() error { return os.RemoveAll(path) })
}

// folder makes a folder, and those that it is in.
func (u *undo) folder(path string, mode fs.FileMode) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := u.folder(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	err := os.Mkdir(path, mode)
	if err == nil {
		u.steps = append(u.steps, func() error { return os.Remove(path) })
	}
	return err
}

// dataFolder makes the data folder, or closes it to others if it is there. Then
// its lock stays, which others may wait for.
func (u *undo) dataFolder(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = u.folder(path, 0o700)
		u.remove(filepath.Join(path, lockFile))
		return err
	}
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return err
	}
	u.steps = append(u.steps, func() error { return os.Chmod(path, info.Mode().Perm()) })
	return os.Chmod(path, 0o700)
}

// settle moves the database and the keys to their place.
func (u *undo) settle(staging string, dir *datadir.Dir) error {
	entries, err := os.ReadDir(staging)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == lockFile { // that of the folder is held
			if err := os.Remove(filepath.Join(staging, lockFile)); err != nil {
				return err
			}
			continue
		}
		u.remove(dir.Path(e.Name()))
	}
	if err := settle(staging, dir); err != nil {
		return err
	}
	return os.Remove(staging)
}
