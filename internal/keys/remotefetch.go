package keys

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json"
)

const (
	// maxRemoteBody bounds a key set and a discovery document, in bytes.
	maxRemoteBody = 256 << 10
	maxRedirects  = 3
)

// read asks the issuer for its keys.
func (r *Remote) read(ctx context.Context) (*remoteSet, error) {
	asked := r.now()
	address := r.jwks
	if address == "" {
		var err error
		if address, err = r.discover(ctx); err != nil {
			return nil, err
		}
	}
	body, header, err := r.get(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("keys: read key set: %w", err)
	}
	keys, err := parseRemoteSet(body)
	if err != nil {
		return nil, fmt.Errorf("keys: read key set at %s: %w", address, err)
	}
	fresh := r.maxAge
	if age, ok := maxAge(header); ok {
		fresh = min(fresh, max(age, r.pause))
	}
	return &remoteSet{keys: keys, fetched: asked, fresh: fresh}, nil
}

// discover reads the address of the key set from the discovery document.
func (r *Remote) discover(ctx context.Context) (string, error) {
	body, _, err := r.get(ctx, r.discovery)
	if err != nil {
		return "", fmt.Errorf("keys: discover issuer: %w", err)
	}
	var doc struct {
		Issuer string `json:"issuer"`
		JWKS   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", fmt.Errorf("keys: discover issuer: %s is not a discovery document", r.discovery)
	}
	if r.checkIssuer && doc.Issuer != r.issuer {
		return "", fmt.Errorf("keys: discover issuer: %s states the issuer %q, not %q", r.discovery, doc.Issuer, r.issuer)
	}
	if err := checkJWKS(r.discovery, doc.JWKS); err != nil {
		return "", fmt.Errorf("keys: discover issuer: %s: %w", r.discovery, err)
	}
	return doc.JWKS, nil
}

// checkJWKS refuses an address that a discovery document must not send us to.
// What the configuration names may be anywhere, and so may a key set beside its
// document. Elsewhere it must be https, so that only a server with a certificate
// for the name is ever sent more than a handshake, and not on this machine or
// an address of a private network.
func checkJWKS(discovery, jwks string) error {
	from, err := url.Parse(discovery)
	if err != nil {
		return err
	}
	to, err := url.Parse(jwks)
	switch {
	case err != nil || to.Host == "" || to.User != nil:
		return errors.New("jwks_uri is missing or is not an address")
	case from.Scheme == to.Scheme && from.Host == to.Host:
		return nil
	case to.Scheme != "https" || !public(to.Hostname()):
		return fmt.Errorf("jwks_uri %q is on another server, which is allowed only for https and a public name; set jwks in the configuration if it is right", jwks)
	}
	return nil
}

// public reports whether a host is not plainly this machine or in a private network.
func public(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		return ip.IsGlobalUnicast() && !ip.IsPrivate()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return strings.Contains(host, ".") && !strings.HasSuffix(host, ".localhost")
}

// get reads what is at an address, if it is not too long.
func (r *Remote) get(ctx context.Context, address string) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", "application/json")
	res, err := r.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s answered %d", address, res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxRemoteBody+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", address, err)
	}
	if len(body) > maxRemoteBody {
		return nil, nil, fmt.Errorf("%s is longer than %d bytes", address, maxRemoteBody)
	}
	return body, res.Header, nil
}

// sameOrigin returns a copy of the client that is not redirected to another
// server and keeps no cookies. A nil client is that of the system.
func sameOrigin(client *http.Client) *http.Client {
	var c http.Client
	if client != nil {
		c = *client
	}
	c.Jar = nil
	c.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		switch first := via[0].URL; {
		case len(via) > maxRedirects:
			return errors.New("too many redirects")
		case req.URL.Scheme != first.Scheme || req.URL.Host != first.Host:
			return errors.New("redirected to another server")
		}
		return nil
	}
	return &c
}

// maxAge reads how long an answer may be kept (RFC 9111, section 5.2.2).
func maxAge(h http.Header) (time.Duration, bool) {
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return 0, true
		case "max-age":
			seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			return time.Duration(seconds) * time.Second, err == nil
		}
	}
	return 0, false
}
