package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"usher/internal/certs"
	"usher/internal/config"
	"usher/internal/datadir"
)

// secured is a server with TLS outside development mode.
type secured struct {
	server      *server
	listeners   listeners
	http, https string // addresses
	cert, key   string // files
}

// filesOf makes a certificate for localhost and its key.
func filesOf(t *testing.T) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	if _, err := certs.Localhost(dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, certs.CertFile), filepath.Join(dir, certs.KeyFile)
}

func serveSecured(t *testing.T) *secured {
	t.Helper()
	s := &secured{}
	s.cert, s.key = filesOf(t)
	quiet := slog.New(slog.DiscardHandler)
	cfg := config.Default()
	cfg.Data, cfg.Server.HTTP, cfg.Server.HTTPS = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0"
	cfg.Server.PublicURL, cfg.Server.TrustedProxies = "https://localhost", []string{"127.0.0.1"}
	cfg.Server.TLS.CertFile, cfg.Server.TLS.KeyFile = s.cert, s.key
	if problems := cfg.Validate(); len(problems) > 0 {
		t.Fatal(problems)
	}
	dir, err := datadir.Open(cfg.Data)
	if err != nil {
		t.Fatal(err)
	}
	if s.listeners, err = listen(cfg, dir, quiet); err != nil {
		t.Fatal(err)
	}
	if s.server, err = newServer(t.Context(), cfg, serverOptions{Dir: dir, Logger: quiet, Certificates: s.listeners.certificates()}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.server.serve(ctx, s.listeners) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, dir.Close()); err != nil {
			t.Error(err)
		}
	})
	for _, l := range s.listeners {
		switch {
		case l.Origin.Local:
		case l.certificates != nil:
			s.https = l.Addr().String()
		default:
			s.http = l.Addr().String()
		}
	}
	return s
}

// shown is the certificate that a caller who trusts the file is shown.
func (s *secured) shown(t *testing.T, trusted string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(trusted)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	conn, err := tls.Dial("tcp", s.https, &tls.Config{RootCAs: roots, ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0]
}

func replace(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestACertificateThatWasReplacedIsShown(t *testing.T) {
	s := serveSecured(t)
	before := s.shown(t, s.cert)
	newCert, newKey := filesOf(t)

	ctx, stop := context.WithCancel(t.Context())
	tick, ended := make(chan time.Time), make(chan struct{})
	go func() {
		defer close(ended)
		s.server.watch(ctx, tick)
	}()
	// A second tick is taken only when the first was dealt with.
	look := func() { tick <- time.Time{}; tick <- time.Time{} }

	old := filepath.Join(t.TempDir(), "old.crt")
	replace(t, s.cert, old)
	replace(t, newCert, s.cert) // and the key not yet
	look()
	if !s.shown(t, old).Equal(before) {
		t.Error("another certificate is shown while the files do not fit")
	}
	replace(t, newKey, s.key)
	look()
	after := s.shown(t, s.cert)
	if after.Equal(before) {
		t.Error("the former certificate is shown")
	}
	if got := s.server.endOf(t, "localhost"); got != float64(after.NotAfter.Unix()) {
		t.Errorf("the metric of its end is %v, want %d", got, after.NotAfter.Unix())
	}
	stop()
	<-ended
}

// A configuration that was reloaded is not said to be the former one because a
// certificate can't be read.
func TestACertificateThatCantBeReadDoesNotKeepTheConfiguration(t *testing.T) {
	s := serveSecured(t)
	before := s.shown(t, s.cert)
	old := filepath.Join(t.TempDir(), "old.crt")
	replace(t, s.cert, old)
	if err := os.Remove(s.cert); err != nil {
		t.Fatal(err)
	}
	next := *s.server.config.Load()
	next.Operators = []string{"user:https://id.example#ann"}
	ctx, stop := context.WithCancel(t.Context())
	told, ended := make(chan os.Signal), make(chan struct{})
	go func() {
		defer close(ended)
		s.server.follow(ctx, told, func() (config.Config, []string, error) { return next, nil, nil })
	}()
	// A second signal is taken only when the first was dealt with.
	told <- os.Interrupt
	told <- os.Interrupt
	stop()
	<-ended
	if got := s.server.config.Load().Operators; len(got) != 1 {
		t.Errorf("the operators are %v", got)
	}
	var m dto.Metric
	if err := s.server.reloads.success.Write(&m); err != nil || m.GetGauge().GetValue() != 1 {
		t.Errorf("the metric of reloads is %v, %v, though the configuration is in force", m.GetGauge().GetValue(), err)
	}
	if !s.shown(t, old).Equal(before) {
		t.Error("another certificate is shown")
	}
}

// endOf is when the certificate of a host ends, as the metric has it.
func (s *server) endOf(t *testing.T, host string) float64 {
	t.Helper()
	var m dto.Metric
	if err := s.expiry.WithLabelValues(host).Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetGauge().GetValue()
}

func TestWhoComesWithoutTLSIsSentToThePublicURL(t *testing.T) {
	s := serveSecured(t)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	ask := func(method, path, from string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.http+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if from != "" {
			req.Header.Set("X-Forwarded-For", from)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		return res
	}
	const stranger = "192.0.2.1"
	if res := ask("GET", "/console?x=1", stranger); res.StatusCode != http.StatusPermanentRedirect || res.Header.Get("Location") != "https://localhost/console?x=1" {
		t.Errorf("a page: got %s to %q", res.Status, res.Header.Get("Location"))
	}
	if res := ask("POST", "/api/v1/rooms", stranger); res.StatusCode != http.StatusForbidden {
		t.Errorf("a change: got %s", res.Status)
	}
	for path, from := range map[string]string{"/healthz": stranger, "/readyz": stranger, "/.well-known/jwks.json": ""} {
		if res := ask("GET", path, from); res.StatusCode != http.StatusOK {
			t.Errorf("%s from %q: got %s", path, from, res.Status)
		}
	}
}

func TestBrowsersAreToldOfHTTPSWhereItIsServed(t *testing.T) {
	cfg := config.Default()
	cfg.Server.PublicURL = "https://usher.example.com"
	if got := secure(cfg); got.HSTS != cfg.Server.TLS.HSTS || got.HSTS == 0 || got.Base != "" {
		t.Errorf("behind a proxy: %+v", got)
	}
	cfg.Server.HTTPS, cfg.Server.TLS.CertFile = ":443", "a.crt"
	if got := secure(cfg); got.Base != cfg.Server.PublicURL {
		t.Errorf("with a certificate: %+v", got)
	}
	cfg.Dev = true
	if got := secure(cfg); got.HSTS != 0 || got.Base != "" {
		t.Errorf("in development mode: %+v", got)
	}
}
