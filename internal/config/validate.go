package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher"
	"usher/internal/platform/vpaas"
)

// Validate returns every mistake in the configuration. It reads the files that
// the configuration names and the server can't do without.
func (c Config) Validate() []usher.FieldProblem {
	var v validator
	v.address("server.http", c.Server.HTTP, c.Dev)
	v.address("server.https", c.Server.HTTPS, c.Dev)
	v.server(c)
	v.check("data", c.Data != "", "must name a folder")
	v.operators(c.Operators)
	v.section("rooms", c.Rooms.Validate())
	v.vpaas(c)
	_, known := logLevels[c.Log.Level]
	v.check("log.level", known, "must be debug, info, warn or error")
	v.check("log.format", c.Log.Format == "text" || c.Log.Format == "json", "must be text or json")
	v.compat(c)
	return v.problems
}

// warnings returns what is allowed but unwise.
func (c Config) warnings() []string {
	var list []string
	for _, f := range []struct{ path, url string }{
		{"server.publicURL", c.Server.PublicURL}, {"vpaas.apiAddress", c.VPaaS.APIAddress},
	} {
		if u, err := url.Parse(f.url); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
			list = append(list, f.path+" is not https: tokens and secrets can be read on their way.")
		}
	}
	return list
}

// validator collects problems.
type validator struct{ problems []usher.FieldProblem }

func (v *validator) check(path string, ok bool, message string) {
	if !ok {
		v.problems = append(v.problems, usher.FieldProblem{Field: path, Message: message})
	}
}

// section adds the problems that a package found in its own section.
func (v *validator) section(path string, problems []usher.FieldProblem) {
	for _, p := range problems {
		v.problems = append(v.problems, usher.FieldProblem{Field: join(path, p.Field), Message: p.Message})
	}
}

// address checks an address to listen on; the empty one is none.
func (v *validator) address(path, address string, dev bool) {
	if address == "" {
		return
	}
	host, port, err := net.SplitHostPort(address)
	if err == nil && host != "" && host != "localhost" {
		_, err = netip.ParseAddr(host)
	}
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		v.check(path, false, "must be an IP address and a port, as in 127.0.0.1:8080 or [::1]:8080, or localhost:8080, or :8080 for all interfaces")
		return
	}
	v.check(path, !dev || isLoopback(host), fmt.Sprintf(
		"must be a loopback address, as in localhost:%s: in development mode whoever can reach the server may do everything", port))
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

func (v *validator) server(c Config) {
	s := c.Server
	if s.HTTP != "" && s.HTTP == s.HTTPS && !strings.HasSuffix(s.HTTP, ":0") {
		v.check("server.https", false, "is the same as server.http; each needs a port of its own")
	}
	switch {
	case s.PublicURL != "":
		u, message := parseURL(s.PublicURL)
		if message == "" && u.Path != "" {
			message = "must have no path: our routes begin at the root"
		}
		v.check("server.publicURL", message == "", message)
	case !c.Dev && (s.HTTP != "" || s.HTTPS != ""):
		v.check("server.publicURL", false, "must say what callers reach the server by, as in https://usher.example.com")
	}
}

// parseURL reads the URL of a service. The message, empty if all is well, is
// half a sentence.
func parseURL(text string) (u *url.URL, message string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, "must be an absolute URL that begins with https:// or http://"
	case u.User != nil:
		return nil, "must carry no user and password"
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(text, "#"):
		return nil, "must have neither query nor fragment"
	}
	return u, ""
}

func (v *validator) operators(operators []string) {
	const path = "operators"
	for i, o := range operators {
		kind, subject, _ := strings.Cut(o, ":")
		var err error
		if kind == string(usher.ClientIdentity) {
			_, err = usher.ParseID(subject)
		}
		ok := subject != "" && err == nil && (kind == string(usher.ClientIdentity) || kind == string(usher.UserIdentity))
		v.check(path, ok, fmt.Sprintf("%q is neither client:ID nor user:ISSUER#SUBJECT", o))
		v.check(path, !slices.Contains(operators[:i], o), fmt.Sprintf("%q is listed twice", o))
	}
}

func (v *validator) vpaas(c Config) {
	s, foreign := c.VPaaS, c.ForeignVPaaS()
	if s.APIAddress != "" {
		_, message := parseURL(s.APIAddress)
		v.check("vpaas.apiAddress", message == "", message)
		foreign = foreign && message == ""
	}
	v.check("vpaas.timeout", s.Timeout >= 100*time.Millisecond, "must be at least 100ms")
	if s.Credentials.ClientID != "" {
		_, err := usher.ParseID(s.Credentials.ClientID)
		v.check("vpaas.credentials.clientId", err == nil, "must be the 26 lower-case letters and digits that a VPaaS gives its clients")
	}
	if !foreign {
		return
	}
	const why = "is needed at the VPaaS that vpaas.apiAddress names"
	v.check("vpaas.credentials.clientId", s.Credentials.ClientID != "", why)
	if s.Credentials.PrivateKeyPath == "" {
		v.check("vpaas.credentials.privateKeyPath", false, why)
	} else if _, err := vpaas.LoadPrivateKey(s.Credentials.PrivateKeyPath); err != nil {
		v.check("vpaas.credentials.privateKeyPath", false, withoutName(err))
	}
	if _, err := vpaas.HTTPClient(s.CAFile, s.Timeout); err != nil {
		v.check("vpaas.caFile", false, withoutName(err))
	}
}

// withoutName spares people the package's name, which the field says already.
func withoutName(err error) string { return strings.TrimPrefix(err.Error(), vpaas.Name+": ") }

func (v *validator) compat(c Config) {
	meetings := c.Compat.Meetings.Enabled
	v.check("compat.meetings.enabled", !meetings || c.Dev,
		"must be false outside development mode: the routes know no callers, so that anybody could make meetings")
	v.check("compat.vpaas.enabled", c.Compat.VPaaS.Enabled || !meetings || c.ForeignVPaaS(),
		"must be true where compat.meetings is enabled and vpaas.apiAddress names no other VPaaS")
}
