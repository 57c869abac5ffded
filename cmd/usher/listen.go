package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"usher/internal/certs"
	"usher/internal/config"
	"usher/internal/datadir"
	"usher/internal/httpd"
)

// listener is one address that the server answers on.
type listener struct {
	net.Listener
	Origin httpd.Origin
	// names are all base addresses by which callers may know it.
	names []string
	// connections says that it serves the @connections API, and nothing else.
	connections bool
	// debug says that it serves profiles, and nothing else.
	debug bool
	// certificate is what it shows; nil without TLS.
	certificate *certificate
}

// certificate is one that can be read anew.
type certificate struct {
	load    func() (tls.Certificate, error)
	current atomic.Pointer[tls.Certificate]
}

// newCertificate returns that of the files that are configured, or else one for
// localhost.
func newCertificate(files config.TLS, folder string) *certificate {
	if files.CertFile == "" {
		return &certificate{load: func() (tls.Certificate, error) { return certs.Localhost(folder, time.Now()) }}
	}
	return &certificate{load: func() (tls.Certificate, error) { return certs.Load(files.CertFile, files.KeyFile) }}
}

// read reads the certificate, and keeps the one before if it can't. It reports
// whether it is another.
func (c *certificate) read() (bool, error) {
	cert, err := c.load()
	if err != nil {
		return false, err
	}
	before := c.current.Swap(&cert)
	return before == nil || !slices.EqualFunc(before.Certificate, cert.Certificate, bytes.Equal), nil
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}

func (l listener) connContext() func(context.Context, net.Conn) context.Context {
	return httpd.ConnContext(l.Origin)
}

type listeners []listener

func (ls listeners) close() {
	for _, l := range ls {
		_ = l.Close()
	}
}

// refresh reads the certificate anew, which all listeners share, and reports
// whether it is another.
func (ls listeners) refresh() (bool, error) {
	for _, l := range ls {
		if l.certificate != nil {
			return l.certificate.read()
		}
	}
	return false, nil
}

// watchTime is how often it is looked whether the certificate was replaced.
const watchTime = time.Minute

// watch reads the certificate anew at every tick, until ctx ends. Between the
// exchange of the one file and of the other they do not fit, and the certificate
// stays; the log says so once.
func (ls listeners) watch(ctx context.Context, tick <-chan time.Time, logger *slog.Logger) {
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
		changed, err := ls.refresh()
		switch {
		case err != nil && err.Error() != said:
			said = err.Error()
			logger.Error("the certificate was not read anew, and stays as it was", "error", err)
		case err == nil:
			said = ""
		}
		if changed {
			logger.Info("the certificate was replaced, and is shown from now on")
		}
	}
}

// names returns every base address by which callers may know this server.
func (ls listeners) names() []string {
	var names []string
	for _, l := range ls {
		names = append(names, l.names...)
	}
	return names
}

// bases returns the addresses to tell people, each once.
func (ls listeners) bases() []string {
	var bases []string
	for _, l := range ls {
		if !l.Origin.Local && !l.connections && !l.debug && !slices.Contains(bases, l.Origin.Base) {
			bases = append(bases, l.Origin.Base)
		}
	}
	return bases
}

// listen opens everything that is configured, or nothing.
func listen(cfg config.Config, dir *datadir.Dir) (_ listeners, err error) {
	var ls listeners
	defer func() {
		if err != nil {
			ls.close()
		}
	}()
	control, err := dir.Listen()
	if err != nil {
		return ls, err
	}
	ls = append(ls, listener{Listener: control, Origin: httpd.Origin{Base: cfg.Server.PublicURL, Local: true}})

	if address := cfg.Compat.Connections.Listen; address != "" {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return ls, fmt.Errorf("can't listen on compat.connections.listen: %w", err)
		}
		ls = append(ls, listener{Listener: l, Origin: httpd.Origin{Base: "http://" + l.Addr().String()}, connections: true})
	}
	if address := cfg.Server.Debug; address != "" {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return ls, fmt.Errorf("can't listen on server.debug: %w", err)
		}
		ls = append(ls, listener{Listener: l, Origin: httpd.Origin{Base: "http://" + l.Addr().String()}, debug: true})
	}
	plain, err := listenAll(cfg, "http", cfg.Server.HTTP, cfg.Server.HTTPAddresses(), nil)
	ls = append(ls, plain...)
	if err != nil {
		return ls, err
	}
	if len(cfg.Server.HTTPSAddresses()) == 0 {
		return ls, nil
	}
	cert := newCertificate(cfg.Server.TLS, dir.Path("tls"))
	if _, err := cert.read(); err != nil {
		return ls, err
	}
	secure, err := listenAll(cfg, "https", cfg.Server.HTTPS, cfg.Server.HTTPSAddresses(), &tls.Config{
		GetCertificate: cert.get, MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
	})
	for i := range secure {
		secure[i].certificate = cert
	}
	ls = append(ls, secure...)
	return ls, err
}

// listenAll opens the addresses of one scheme. Of several, the loopback
// addresses of both families, a machine may lack those after the first.
func listenAll(cfg config.Config, scheme, configured string, addresses []string, tlsConfig *tls.Config) (listeners, error) {
	var ls listeners
	for i, address := range addresses {
		l, err := net.Listen("tcp", address)
		if errors.Is(err, syscall.EADDRINUSE) {
			return ls, fmt.Errorf("%s is taken by another program: stop that one, or choose another address with --%s ADDR", address, scheme)
		}
		if err != nil && i > 0 {
			continue
		}
		if err != nil {
			return ls, fmt.Errorf("can't listen on %s: %w; choose another address with --%s ADDR", address, err, scheme)
		}
		if tlsConfig != nil {
			l = tls.NewListener(l, tlsConfig)
		}
		ls = append(ls, named(cfg, scheme, configured, l))
	}
	return ls, nil
}

// named gives a listener its base address: the public URL, or in development
// mode, where there is none, the address as it was configured.
func named(cfg config.Config, scheme, configured string, l net.Listener) listener {
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		panic(err) // a TCP address has a port
	}
	host, _, _ := net.SplitHostPort(configured)
	if host == "" {
		host = "localhost"
	}
	base := func(host string) string { return scheme + "://" + net.JoinHostPort(host, port) }
	named := listener{Listener: l, Origin: httpd.Origin{Base: cfg.Server.PublicURL}}
	if cfg.Dev {
		named.names = []string{base("localhost"), base("127.0.0.1"), base("::1")}
	}
	if named.Origin.Base == "" {
		named.Origin.Base = strings.TrimSuffix(base(host), "/")
	}
	return named
}
