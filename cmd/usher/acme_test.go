package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usher/internal/certs/certstest"
	"usher/internal/config"
	"usher/internal/datadir"
	"usher/internal/health"
)

const publicHost = "usher.example.com"

// certified is a server whose certificate is got by ACME.
type certified struct {
	*server
	listeners listeners
	authority *certstest.Authority
	config    config.Config
	file      string // of the configuration
	// tick has the server look whether anything is due.
	tick chan time.Time
	stop func()
}

// serveCertified starts a server on a data folder, whose authority is down unless
// somebody has it be up. It ends with the test, or with stop.
func serveCertified(t *testing.T, data string, authority *certstest.Authority) *certified {
	t.Helper()
	s := &certified{authority: authority, file: certifiedFile(t, data, authority), tick: make(chan time.Time)}
	var err error
	if s.config, _, err = config.Load(config.Options{Path: s.file}); err != nil {
		t.Fatal(err)
	}
	dir, err := datadir.Open(data)
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	if s.listeners, err = listen(s.config, dir, quiet); err != nil {
		t.Fatal(err)
	}
	if s.server, err = newServer(t.Context(), s.config, serverOptions{Dir: dir, Logger: quiet, Certificates: s.listeners.certificates()}); err != nil {
		t.Fatal(err)
	}
	s.alsoRun(func(ctx context.Context) { s.watch(ctx, s.tick) })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.serve(ctx, s.listeners) }()
	s.stop = func() {
		cancel()
		if err := errors.Join(<-ended, dir.Close()); err != nil {
			t.Error(err)
		}
		s.stop = func() {}
	}
	t.Cleanup(func() { s.stop() })
	return s
}

// certifiedFile is a configuration with ACME.
func certifiedFile(t *testing.T, data string, authority *certstest.Authority) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "usher.yaml")
	text := "server:\n  http: 127.0.0.1:0\n  https: 127.0.0.1:0\n  publicURL: https://" + publicHost + "\n" +
		"  tls:\n    acme: {domains: [" + publicHost + "], acceptTerms: true, directoryURL: \"" + authority.URL + "\", caFile: \"" + authority.CAFile + "\"}\n" +
		"data: " + data + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// plain and secure are the addresses; the first listener is the control socket.
func (s *certified) plain() string  { return s.listeners[1].Addr().String() }
func (s *certified) secure() string { return s.listeners[2].Addr().String() }

// look has the server look, and returns when it has. The second tick is taken
// only when the first was dealt with.
func (s *certified) look() { s.tick <- time.Time{}; s.tick <- time.Time{} }

// await has the server look until it has a certificate.
func (s *certified) await(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); s.endOf(t, publicHost) == 0; s.look() {
		if time.Now().After(deadline) {
			t.Fatalf("no certificate was got: %v", s.certificates.States()[0].Err)
		}
		_ = s.certificates.Reload()
	}
}

func (s *certified) leaf(t *testing.T) *x509.Certificate {
	t.Helper()
	conn, err := tls.Dial("tcp", s.secure(), &tls.Config{RootCAs: s.authority.Roots, ServerName: publicHost})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0]
}

// health is how the server says that its certificate is.
func (s *certified) certificateHealth(t *testing.T) health.State {
	t.Helper()
	s.health.Set(s.checks(s.config, nil)) // which forgets what was asked a moment ago
	results, err := s.health.Results(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Kind == health.Certificate && r.Name == publicHost {
			return r.State
		}
	}
	t.Fatalf("nothing is said of the certificate: %+v", results)
	return ""
}

// doctored is what the doctor says of the certificate.
func (s *certified) doctored(t *testing.T) []finding {
	t.Helper()
	var out, errs bytes.Buffer
	run(t.Context(), []string{"doctor", "--config", s.file, "--json"}, environment{Stdout: &out, Stderr: &errs})
	var list []finding
	for line := range strings.Lines(out.String()) {
		var f finding
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if f.Check == "certificate" {
			list = append(list, f)
		}
	}
	return list
}

func TestCertificatesAreGotByACME(t *testing.T) {
	const nobody = 1 // a port
	for name, ports := range map[string]func(plain, secure int) (int, int){
		"asked over TLS":        func(_, secure int) (int, int) { return nobody, secure },
		"asked over plain HTTP": func(plain, _ int) (int, int) { return plain, nobody },
	} {
		t.Run(name, func(t *testing.T) {
			s := serveCertified(t, t.TempDir(), certstest.Start(t))
			s.authority.Up(ports(certstest.Port(s.listeners[1]), certstest.Port(s.listeners[2])))
			s.await(t)
			if got := s.endOf(t, publicHost); got != float64(s.leaf(t).NotAfter.Unix()) {
				t.Errorf("the metric of its end is %v", got)
			}
			if got := s.certificateHealth(t); got != health.Well {
				t.Errorf("it is %s", got)
			}
		})
	}
}

func TestWithoutACertificateAllElseIsServedUntilTheAuthorityIsBack(t *testing.T) {
	s := serveCertified(t, t.TempDir(), certstest.Start(t))
	s.look()
	if got := s.certificateHealth(t); got != health.Failing || s.endOf(t, publicHost) != 0 {
		t.Errorf("it is %s", got)
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	stranger := func(path string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.plain()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		return res
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/.well-known/jwks.json": 200, "/.well-known/acme-challenge/x": 404} {
		if res := stranger(path); res.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, res.Status, want)
		}
	}
	if conn, err := tls.Dial("tcp", s.secure(), &tls.Config{InsecureSkipVerify: true, ServerName: publicHost}); err == nil {
		_ = conn.Close()
		t.Error("a certificate is shown that was not got")
	}
	levels := func() (list []string) {
		for _, f := range s.doctored(t) {
			list = append(list, f.Level)
		}
		return list
	}
	if got := levels(); strings.Join(got, " ") != "fault fault" { // the authority's silence, and that there is none
		t.Errorf("the doctor finds %v", s.doctored(t))
	}
	s.authority.Up(certstest.Port(s.listeners[1]), certstest.Port(s.listeners[2]))
	s.await(t)
	s.leaf(t)
	if got := levels(); strings.Join(got, " ") != "ok ok" {
		t.Errorf("the doctor finds %v", s.doctored(t))
	}
}

func TestARestartedServerShowsTheCertificateThatIsKept(t *testing.T) {
	data := t.TempDir()
	first := serveCertified(t, data, certstest.Start(t))
	first.authority.Up(certstest.Port(first.listeners[1]), certstest.Port(first.listeners[2]))
	first.await(t)
	before := first.leaf(t)
	first.stop()
	first.authority.Down()
	asked := first.authority.Asked()
	second := serveCertified(t, data, first.authority)
	second.look()
	if !second.leaf(t).Equal(before) {
		t.Error("another certificate is shown")
	}
	if first.authority.Asked() != asked {
		t.Error("the authority was asked")
	}
	err := filepath.WalkDir(filepath.Join(data, acmeName), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte("PRIVATE KEY")) || bytes.Contains(text, before.Raw) {
			t.Errorf("%s is not sealed", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestACMEIsAskedAnewOnSIGHUP(t *testing.T) {
	s := serveCertified(t, t.TempDir(), certstest.Start(t))
	s.look()
	asked := s.authority.Asked()
	s.look()
	if s.authority.Asked() != asked {
		t.Error("an authority that is down is asked again at once")
	}
	hangups, ctx := make(chan os.Signal), t.Context()
	s.alsoRun(func(context.Context) {
		s.follow(ctx, hangups, func() (config.Config, []string, error) { return s.config, nil, nil })
	})
	hangups <- os.Interrupt // whatever it is
	hangups <- os.Interrupt // and now the first was dealt with
	s.look()
	if s.authority.Asked() == asked {
		t.Error("it was not asked again")
	}
}

// unused returns a port that is free at the moment.
func unused(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return certstest.Port(l)
}

func TestServeGetsItsCertificateByItself(t *testing.T) {
	authority, plain, secure := certstest.Start(t), unused(t), unused(t)
	authority.Up(plain, secure)
	file := certifiedFile(t, t.TempDir(), authority)
	address := func(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	var errs bytes.Buffer
	go func() {
		ended <- run(ctx, []string{"serve", "--config", file, "--http", address(plain), "--https", address(secure)}, environment{Stdout: io.Discard, Stderr: &errs})
	}()
	trusting := &tls.Config{RootCAs: authority.Roots, ServerName: publicHost}
	conn, err := tls.Dial("tcp", address(secure), trusting)
	for deadline := time.Now().Add(3 * time.Minute); err != nil && time.Now().Before(deadline); conn, err = tls.Dial("tcp", address(secure), trusting) {
		select {
		case status := <-ended:
			t.Fatalf("it ended with %d: %s", status, &errs)
		case <-time.After(20 * time.Millisecond):
		}
	}
	if err == nil {
		_ = conn.Close()
	}
	stop()
	if status := <-ended; status != 0 || err != nil {
		t.Errorf("handshake: %v; it ended with %d: %s", err, status, &errs)
	}
}
