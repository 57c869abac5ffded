package e2e_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"usher/internal/datadir"
)

// How long a server may take to start, and to stop after SIGTERM.
const (
	startTime = 30 * time.Second
	stopTime  = 30 * time.Second
)

// options say how to start a server; the zero value is development mode on
// ports that the system chooses.
type options struct {
	// Data is the data folder; empty is a new one.
	Data string
	// Dir is the working directory; empty is a new one.
	Dir string
	// HTTP and HTTPS are addresses; empty is 127.0.0.1:0.
	HTTP, HTTPS string
	// DefaultPorts leaves the addresses to the server, as the seeds' commands do.
	DefaultPorts bool
	// FileHTTPS leaves the HTTPS address to the configuration file.
	FileHTTPS bool
	// Config is a configuration (YAML) to start with outside development mode,
	// on one port without TLS that is also the public URL.
	Config string
	// TLS has such a server answer over HTTPS alone, with a certificate of that
	// authority: its public URL is https://localhost:PORT. It takes the
	// certificates of others for good if they are of this authority.
	TLS *authority
	// PublicURL and Client are what callers reach such a server by, if that is not
	// where it listens, which Config then says.
	PublicURL string
	Client    *http.Client
	// On is where it keeps what it knows.
	On storage
	// Args and Env come on top.
	Args, Env []string
	// Under are the words of a program to start the server with.
	Under []string
}

// Server is a running usher. It is stopped, and its output searched for
// secrets, when the test ends.
type Server struct {
	t       testing.TB
	options options
	// HTTP and HTTPS are its base addresses, without a slash at the end.
	HTTP, HTTPS string
	// Data is its data folder.
	Data string
	// Client trusts its certificate.
	Client *http.Client

	output  *output
	secrets *secrets
	cmd     *exec.Cmd
	done    chan struct{} // closed when the process has ended
}

// start starts a server and waits until it is ready.
func start(t testing.TB, o options) *Server {
	t.Helper()
	if o.Data == "" {
		o.Data = filepath.Join(t.TempDir(), "data")
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.HTTP == "" {
		o.HTTP = "127.0.0.1:0"
	}
	// The banner has the public URL, which has to be known before.
	switch {
	case o.TLS != nil:
		if o.HTTPS == "" {
			o.HTTPS = "localhost:" + unusedPort(t)
		}
		o.Env = append(o.TLS.environment(o.HTTPS), o.Env...)
	case o.Config != "":
		o.HTTP = "127.0.0.1:" + unusedPort(t)
	}
	if o.HTTPS == "" {
		o.HTTPS = "127.0.0.1:0"
	}
	s := &Server{t: t, options: o, Data: o.Data, output: newOutput(), secrets: &secrets{}}
	t.Cleanup(s.finish)
	s.launch()
	return s
}

// launch starts the process on the data folder.
func (s *Server) launch() {
	s.t.Helper()
	o := s.options
	args := append([]string{}, o.Under...)
	args = append(args, usherBinary(s.t), "serve", "--data", o.Data)
	env := environ(slices.Concat(o.On, o.Env)...)
	if o.Config == "" {
		args = append(args, "--dev")
	} else {
		file := filepath.Join(o.Dir, "usher.yaml")
		if err := os.WriteFile(file, []byte(o.Config), 0o600); err != nil {
			s.t.Fatal(err)
		}
		args = append(args, "--config", file)
	}
	switch {
	case o.PublicURL != "":
		env = append(env, "USHER_SERVER_PUBLIC_URL="+o.PublicURL)
	case o.DefaultPorts:
	case o.TLS != nil:
		args = append(args, "--http=", "--https", o.HTTPS)
	case o.Config != "":
		args = append(args, "--http", o.HTTP)
		env = append(env, "USHER_SERVER_PUBLIC_URL=http://"+o.HTTP)
	case o.FileHTTPS:
		args = append(args, "--http", o.HTTP)
	default:
		args = append(args, "--http", o.HTTP, "--https", o.HTTPS)
	}
	args = append(args, o.Args...)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = o.Dir, env
	cmd.Stderr = s.output
	cmd.WaitDelay = 10 * time.Second
	bases := s.output.addresses()
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.cmd, s.done = cmd, make(chan struct{})
	go func(done chan struct{}) {
		_ = cmd.Wait() // its state is looked at by whoever waits for done
		close(done)
	}(s.done)

	limit := time.After(startTime)
	s.HTTP, s.HTTPS = "", ""
	for s.HTTP == "" || s.HTTPS == "" {
		select {
		case base := <-bases:
			switch {
			case o.Config != "":
				s.HTTP, s.HTTPS = base, base
			case strings.HasPrefix(base, "https:"):
				s.HTTPS = base
			default:
				s.HTTP = base
			}
		case <-s.done:
			s.t.Fatalf("the server ended at its start: %v\n%s", cmd.ProcessState, s.output.tail())
		case <-limit:
			s.t.Fatalf("the server did not say where it is within %v\n%s", startTime, s.output.tail())
		}
	}
	s.Client = s.newClient()
	s.awaitReady(limit)
}

func (s *Server) awaitReady(limit <-chan time.Time) {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := s.Client.Get(s.HTTPS + "/readyz")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-tick.C:
		case <-s.done:
			s.t.Fatalf("the server ended at its start: %v\n%s", s.cmd.ProcessState, s.output.tail())
		case <-limit:
			s.t.Fatalf("the server was not ready within %v: %v\n%s", startTime, err, s.output.tail())
		}
	}
}

// CA is the file of the certificate to trust.
func (s *Server) CA() string {
	if s.options.TLS != nil {
		return s.options.TLS.File
	}
	return filepath.Join(s.Data, "tls", "localhost.crt")
}

func (s *Server) newClient() *http.Client {
	s.t.Helper()
	if s.options.Client != nil {
		return s.options.Client
	}
	roots := x509.NewCertPool()
	if (s.options.Config == "" || s.options.TLS != nil) && !roots.AppendCertsFromPEM(readFile(s.t, s.CA())) {
		s.t.Fatalf("%s holds no certificate", s.CA())
	}
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 512, MaxConnsPerHost: 512,
	}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// socketClient is Client without its time limit, which a socket outlives.
func (s *Server) socketClient() *http.Client { return &http.Client{Transport: s.Client.Transport} }

// Terminate sends SIGTERM without waiting.
func (s *Server) Terminate() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatalf("SIGTERM: %v\n%s", err, s.output.tail())
	}
}

// Stop ends the server with SIGTERM and fails the test unless it ends cleanly.
func (s *Server) Stop() {
	s.t.Helper()
	s.Terminate()
	s.AwaitExit()
}

// AwaitExit waits for a clean end after SIGTERM.
func (s *Server) AwaitExit() {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(stopTime):
		_ = s.cmd.Process.Signal(syscall.SIGQUIT) // shows where it hangs
		<-s.done
		s.t.Fatalf("the server did not stop within %v\n%s", stopTime, s.output.tail())
	}
	if status := s.cmd.ProcessState.ExitCode(); status != 0 {
		s.t.Errorf("the server ended with %v, want status 0\n%s", s.cmd.ProcessState, s.output.tail())
	}
}

// Kill ends the server at once with SIGKILL.
func (s *Server) Kill() {
	s.t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Fatalf("SIGKILL: %v\n%s", err, s.output.tail())
	}
	<-s.done
}

// Restart starts the server again, after Stop or Kill, on the same data folder
// and the same ports.
func (s *Server) Restart() {
	s.t.Helper()
	select {
	case <-s.done:
	default:
		s.t.Fatal("Restart of a server that runs")
	}
	s.options.HTTP, s.options.HTTPS = hostOf(s.t, s.HTTP), hostOf(s.t, s.HTTPS)
	s.launch()
}

// hostOf returns host and port of a base address.
func hostOf(t testing.TB, base string) string {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// finish stops the server, if it runs, and searches what it left for secrets.
func (s *Server) finish() {
	if s.cmd == nil || s.cmd.Process == nil || s.done == nil {
		return
	}
	select {
	case <-s.done:
	default:
		s.secrets.search(s.t, "/metrics", s.metrics())
		s.Stop()
	}
	s.secrets.search(s.t, "the log", s.output.Bytes())
	s.searchFiles()
	if s.t.Failed() {
		s.t.Logf("the server's output ends with:\n%s", s.output.tail())
	}
}

// metrics are read over the control socket: elsewhere they are for operators.
func (s *Server) metrics() []byte {
	c := &http.Client{Transport: s.control()}
	defer c.CloseIdleConnections()
	resp, err := c.Get(controlBase + "/metrics")
	if err != nil {
		s.t.Errorf("GET /metrics: %v", err)
		return nil
	}
	return readAll(s.t, resp)
}

// controlBase is what the control socket is called in URLs.
const controlBase = "http://usher.localhost"

// control reaches the server's control socket.
func (s *Server) control() *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return datadir.Dial(ctx, s.Data) }}
}

// searchFiles looks for secrets in what the server has written: of what it
// gave away it keeps digests only.
func (s *Server) searchFiles() {
	err := filepath.WalkDir(s.Data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		s.secrets.search(s.t, filepath.Base(path), content)
		return err
	})
	if err != nil {
		s.t.Error(err)
	}
}

// Secret remembers a secret that must appear in no output of the server.
func (s *Server) Secret(secret string) string {
	s.secrets.add(secret)
	return secret
}

// secrets are the canaries of one server, by what they begin with, so that
// searching a long log for many of them takes no longer than for one.
type secrets struct {
	mu    sync.Mutex
	begin map[[canaryStart]byte][]string
}

// canaryStart is by how many bytes a canary is found.
const canaryStart = 12

func (c *secrets) add(secret string) {
	if len(secret) < canaryStart {
		return // too short to be told from anything else
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.begin == nil {
		c.begin = make(map[[canaryStart]byte][]string)
	}
	start := [canaryStart]byte([]byte(secret))
	if !slices.Contains(c.begin[start], secret) {
		c.begin[start] = append(c.begin[start], secret)
	}
}

// find returns where in the text a secret begins.
func (c *secrets) find(text []byte) []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var offsets []int
	for i := range max(0, len(text)-canaryStart+1) {
		for _, secret := range c.begin[[canaryStart]byte(text[i:])] {
			if bytes.HasPrefix(text[i:], []byte(secret)) {
				offsets = append(offsets, i)
			}
		}
	}
	return offsets
}

func (c *secrets) search(t testing.TB, where string, text []byte) {
	t.Helper()
	if offsets := c.find(text); len(offsets) > 0 {
		t.Errorf("%s has secrets in %d places, the first at offset %d", where, len(offsets), offsets[0])
	}
}

// output keeps what a process writes and passes on the base addresses of its
// banner.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	checked int // up to where it was searched for addresses
	found   chan string
}

func newOutput() *output { return &output{found: make(chan string, 16)} }

var bannerAddress = regexp.MustCompile(`^  (https?://\S+)$`)

// addresses returns a channel of the base addresses that come from now on.
func (o *output) addresses() <-chan string {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.found = make(chan string, 16)
	return o.found
}

// Write implements [io.Writer].
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	for {
		rest := o.text.Bytes()[o.checked:]
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			return len(p), nil
		}
		if m := bannerAddress.FindSubmatch(rest[:end]); m != nil {
			select {
			case o.found <- string(m[1]):
			default: // more than any test asks for
			}
		}
		o.checked += end + 1
	}
}

// Bytes returns all of it.
func (o *output) Bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.text.Bytes())
}

// tail returns the last of it.
func (o *output) tail() string {
	lines := strings.Split(strings.TrimSpace(string(o.Bytes())), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}

// await waits until the output has the text after the offset.
func (o *output) await(ctx context.Context, text string, after int) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if bytes.Contains(o.Bytes()[after:], []byte(text)) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the output has no %q: %w", text, ctx.Err())
		}
	}
}
