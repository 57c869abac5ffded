package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"

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
	// certificates are what it shows; nil without TLS.
	certificates certificates
	// challenges answers what an authority asks over plain HTTP, and leaves the
	// rest to the handler that it is given; nil without ACME.
	challenges func(http.Handler) http.Handler
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

// certificates returns what callers over HTTPS are shown, which all listeners
// share; nil without TLS.
func (ls listeners) certificates() certificates {
	for _, l := range ls {
		if l.certificates != nil {
			return l.certificates
		}
	}
	return nil
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
func listen(cfg config.Config, dir *datadir.Dir, logger *slog.Logger) (_ listeners, err error) {
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
	shown, challenges, err := newCertificates(cfg, dir, logger)
	if err != nil {
		return ls, err
	}
	for i := range plain {
		ls[len(ls)-1-i].challenges = challenges
	}
	secure, err := listenAll(cfg, "https", cfg.Server.HTTPS, cfg.Server.HTTPSAddresses(), &tls.Config{
		GetCertificate: shown.GetCertificate, MinVersion: tls.VersionTLS12, NextProtos: protocols(challenges != nil),
	})
	for i := range secure {
		secure[i].certificates = shown
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
