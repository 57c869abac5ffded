package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
)

// LetsEncrypt is the directory of the authority that most use.
const LetsEncrypt = acme.LetsEncryptURL

// ACMEConfig says from which authority certificates are got, and for what.
type ACMEConfig struct {
	// Domains are the hosts to get certificates for, in lower case. Who names no
	// host is shown the first one's.
	Domains []string
	// Email is where the authority writes to; it may be empty.
	Email string
	// Directory is the URL of the authority's directory, whose terms are agreed to.
	Directory string
	// CAFile has certificates (PEM) to trust there beside the system's.
	CAFile string
	// Dir is where certificates, their keys and that of the account are kept,
	// sealed, in a folder for each authority.
	Dir    string
	Sealer Sealer
	Now    func() time.Time
	Logger *slog.Logger
}

// ACME shows certificates that it gets from an authority (RFC 8555), one for each
// host. It asks for them in [ACME.Renew] and never because of a handshake:
// strangers could use up what an authority gives out in a week. It is safe for
// concurrent use, but for Renew, which one goroutine calls.
type ACME struct {
	config ACMEConfig
	files  sealedFolder
	http   *http.Client

	mu    sync.Mutex
	hosts map[string]*host
	// answers are what an authority wants to read at a path of plain HTTP, and
	// proofs what it wants to be shown for a host over TLS.
	answers map[string]string
	proofs  map[string]*tls.Certificate
}

// host is what is known of the certificate of one.
type host struct {
	cert *tls.Certificate // nil while there is none
	// err is why the last attempt failed, failures how many did in a row, and next
	// when to ask again.
	err      error
	failures int
	next     time.Time
}

// answerTime is how long one answer of an authority may take.
const answerTime = 30 * time.Second

// NewACME reads what is kept, and asks nobody for anything.
func NewACME(cfg ACMEConfig) (*ACME, error) {
	pool, err := Authorities(cfg.CAFile)
	if err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	a := &ACME{
		config: cfg, files: sealedFolder{folderOf(cfg.Dir, cfg.Directory), cfg.Sealer},
		http: &http.Client{Timeout: answerTime, Transport: &http.Transport{
			Proxy:             http.ProxyFromEnvironment,
			TLSClientConfig:   &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2: true,
			IdleConnTimeout:   answerTime,
		}},
		hosts: make(map[string]*host), answers: make(map[string]string), proofs: make(map[string]*tls.Certificate),
	}
	for _, name := range cfg.Domains {
		cert, err := a.files.certificate(name)
		if err != nil {
			cfg.Logger.Warn("a certificate that was kept can't be used, and another is got in its place", "host", name, "error", err)
		}
		a.hosts[name] = &host{cert: cert}
	}
	return a, nil
}

// GetCertificate is that of a [tls.Config]. It knows configured hosts only, and
// has an error for one whose certificate is yet to come.
func (a *ACME) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(hello.ServerName)
	if name == "" {
		name = a.config.Domains[0]
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acme.ALPNProto {
		return a.proofs[name], nil
	}
	h := a.hosts[name]
	switch {
	case h == nil:
		return nil, nil // an unrecognized name
	case h.cert == nil:
		return nil, fmt.Errorf("certs: there is no certificate for %s yet", name)
	}
	return h.cert, nil
}

// challengePath begins the paths of what an authority asks for over plain HTTP.
const challengePath = "/.well-known/acme-challenge/"

// Handler answers what the authority asks on port 80, and leaves the rest to next.
func (a *ACME) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, challengePath) {
			next.ServeHTTP(w, r)
			return
		}
		name, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			name = r.Host
		}
		a.mu.Lock()
		answer, known := a.answers[r.URL.Path]
		known = known && a.hosts[strings.ToLower(name)] != nil
		a.mu.Unlock()
		if !known {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write([]byte(answer))
	})
}

// How long one attempt to get a certificate may take, and after what time the
// next follows one that failed: twice as long after each, and as long as the
// authority says.
const (
	attemptTime = 5 * time.Minute
	firstPause  = time.Minute
	lastPause   = time.Hour
)

// Renew gets the certificates that are missing or in the last third of their
// time, and says in the log what came of it.
func (a *ACME) Renew(ctx context.Context) {
	defer a.http.CloseIdleConnections()
	for _, name := range a.config.Domains {
		if !a.due(name) {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, attemptTime)
		cert, err := a.obtain(limited, name)
		cancel()
		if ctx.Err() != nil {
			return
		}
		a.enter(name, cert, err)
	}
}

func (a *ACME) due(name string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	h, now := a.hosts[name], a.config.Now()
	return !now.Before(h.next) && (h.cert == nil || now.After(h.cert.Leaf.NotAfter.Add(-lifetime(h.cert.Leaf)/3)))
}

// enter notes what came of an attempt.
func (a *ACME) enter(name string, cert *tls.Certificate, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	h, now := a.hosts[name], a.config.Now()
	if err == nil {
		h.cert, h.err, h.failures = cert, nil, 0
		h.next = now.Add(firstPause) // whatever its dates are
		a.config.Logger.Info("a certificate was got, and is shown from now on", "host", name, "until", cert.Leaf.NotAfter)
		return
	}
	pause := min(firstPause<<min(h.failures, 10), lastPause)
	if failed, ok := errors.AsType[*acme.Error](err); ok {
		if told, limited := acme.RateLimit(failed); limited {
			pause = max(pause, told)
		}
	}
	h.err, h.failures, h.next = err, h.failures+1, now.Add(pause)
	a.config.Logger.Error("no certificate was got", "host", name, "error", err, "do", advice(err), "again", h.next)
}

// Reload has the next [ACME.Renew] ask for all that is due, whatever failed when.
// It never fails.
func (a *ACME) Reload() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, h := range a.hosts {
		h.failures, h.next = 0, time.Time{}
	}
	return nil
}

// States tells how the certificates are, in the order of the hosts.
func (a *ACME) States() []State {
	a.mu.Lock()
	defer a.mu.Unlock()
	states := make([]State, 0, len(a.hosts))
	for _, name := range a.config.Domains {
		h := a.hosts[name]
		s := State{Host: name, Err: h.err}
		if h.cert != nil {
			s.Leaf = h.cert.Leaf
		}
		states = append(states, s)
	}
	return states
}

// Authorities returns the system's, and those of a file (PEM) if it is named.
func Authorities(caFile string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, err
	}
	if caFile != "" {
		text, err := os.ReadFile(caFile)
		if err != nil {
			return nil, err
		}
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s has no certificate in PEM form", caFile)
		}
	}
	return pool, nil
}
