package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/acme"

	"usher/internal/certs"
	"usher/internal/config"
	"usher/internal/datadir"
	"usher/internal/health"
)

// certificates are what callers over HTTPS are shown.
type certificates interface {
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Renew reads anew or gets what is due, and says in the log what came of it.
	Renew(ctx context.Context)
	// Reload does so, or has the next Renew do it, because somebody said so.
	Reload() error
	States() []certs.State
}

var (
	_ certificates = (*certs.Files)(nil)
	_ certificates = (*certs.ACME)(nil)
)

// newCertificates returns those that are configured, or else one for localhost.
// Those that are got by ACME come with what answers on plain HTTP.
func newCertificates(cfg config.Config, dir *datadir.Dir, logger *slog.Logger) (certificates, func(http.Handler) http.Handler, error) {
	switch files := cfg.Server.TLS; {
	case len(files.ACME.Domains) > 0:
		sealer, err := newSealer(cfg, dir.Path(sealName))
		if err != nil {
			return nil, nil, err
		}
		got, err := certs.NewACME(acmeOf(cfg, dir.Path(acmeName), sealer, logger))
		if err != nil {
			return nil, nil, err
		}
		return got, got.Handler, nil
	case files.CertFile != "":
		u, err := url.Parse(cfg.Server.PublicURL)
		if err != nil {
			return nil, nil, err
		}
		shown, err := certs.NewFiles(u.Hostname(), files.CertFile, files.KeyFile, logger)
		return shown, nil, err
	default:
		shown, err := certs.NewLocalhost(dir.Path("tls"), time.Now, logger)
		return shown, nil, err
	}
}

// acmeName is the folder in the data folder of what is got by ACME.
const acmeName = "acme"

func acmeOf(cfg config.Config, dir string, sealer certs.Sealer, logger *slog.Logger) certs.ACMEConfig {
	a := cfg.Server.TLS.ACME
	return certs.ACMEConfig{
		Domains: a.Domains, Email: a.Email, Directory: a.DirectoryURL, CAFile: a.CAFile,
		Dir: dir, Sealer: sealer, Now: time.Now, Logger: logger,
	}
}

// protocols are those that are spoken over TLS, with that in which an authority
// looks whether a host leads here.
func protocols(withACME bool) []string {
	list := []string{"h2", "http/1.1"}
	if withACME {
		list = append(list, acme.ALPNProto)
	}
	return list
}

// watchTime is how often it is looked whether a certificate was replaced, or is
// due.
const watchTime = time.Minute

// newExpiry makes the metric that tells until when certificates are good.
func newExpiry(registry prometheus.Registerer) *prometheus.GaugeVec {
	ends := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "usher_tls_certificate_expiry_timestamp_seconds",
		Help: "When the certificate ends that callers of a host are shown; 0 while there is none.",
	}, []string{"host"})
	registry.MustRegister(ends)
	return ends
}

// watch renews certificates at once and at every tick, until ctx ends.
func (s *server) watch(ctx context.Context, tick <-chan time.Time) {
	for {
		s.tellExpiry()
		s.certificates.Renew(ctx)
		s.tellExpiry()
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
	}
}

func (s *server) tellExpiry() {
	for _, state := range s.certificates.States() {
		ends := 0.0
		if state.Leaf != nil {
			ends = float64(state.Leaf.NotAfter.Unix())
		}
		s.expiry.WithLabelValues(state.Host).Set(ends)
	}
}

// certificateChecks are of the certificates that others than this machine are
// shown. The server is ready without one: plain HTTP, and who comes through a
// proxy, are served.
func (s *server) certificateChecks(cfg config.Config) []health.Check {
	if s.certificates == nil || !cfg.Server.Public() {
		return nil
	}
	var list []health.Check
	for i, state := range s.certificates.States() {
		list = append(list, health.Check{Kind: health.Certificate, Name: state.Host, Ask: func(context.Context) error {
			return s.certificates.States()[i].Check(time.Now())
		}})
	}
	return list
}
