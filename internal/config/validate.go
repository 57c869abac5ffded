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
	"usher/internal/httpd"
	"usher/internal/identity"
	"usher/internal/platform/janus"
	"usher/internal/platform/vpaas"
	"usher/internal/webhook"
)

// Validate returns every mistake in the configuration. It reads the files that
// the configuration names and the server can't do without.
func (c Config) Validate() []usher.FieldProblem {
	var v validator
	v.address("server.http", c.Server.HTTP, c.Dev)
	v.address("server.https", c.Server.HTTPS, c.Dev)
	v.server(c)
	v.tls(c)
	v.check("data", c.Data != "", "must name a folder")
	v.section("store", c.Store.Validate())
	v.lambda(c)
	v.issuers(c.Issuers)
	v.session(c)
	v.operators(c.Operators)
	v.section("policy", c.Policy.Validate())
	v.section("limits", c.Limits.Validate())
	v.section("audit", c.Record.Validate())
	v.webhooks(c.Webhooks)
	v.section("rooms", c.Rooms.Validate())
	v.section("contacts", c.Contacts.Validate())
	v.section("signaling", c.Signaling.Validate())
	v.section("calls", c.Calls.Validate())
	v.section("collab", c.Collab.Validate())
	v.vpaas(c)
	v.platforms(c)
	v.web(c)
	_, known := logLevels[c.Log.Level]
	v.check("log.level", known, "must be debug, info, warn or error")
	v.check("log.format", c.Log.Format == "text" || c.Log.Format == "json", "must be text or json")
	v.compat(c)
	v.connections(c)
	return v.problems
}

// warnings returns what is allowed but unwise.
func (c Config) warnings() []string {
	type address struct{ path, url string }
	addresses := []address{
		{"server.publicURL", c.Server.PublicURL}, {"session.url", c.Session.URL}, {"vpaas.apiAddress", c.VPaaS.APIAddress},
		{"store.endpoint", c.Store.Endpoint},
	}
	for i, origin := range c.Server.Origins {
		addresses = append(addresses, address{index("server.origins", i), origin})
	}
	for i, issuer := range c.Issuers {
		path := index("issuers", i)
		addresses = append(addresses, address{path + ".issuer", issuer.Issuer}, address{path + ".discovery", issuer.Discovery}, address{path + ".jwks", issuer.JWKS})
	}
	for i, target := range c.Webhooks {
		addresses = append(addresses, address{index("webhooks", i) + ".url", target.URL})
	}
	var list []string
	for _, a := range addresses {
		if u, err := url.Parse(a.url); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
			list = append(list, a.path+" is not https: what is sent can be read and changed on its way.")
		}
	}
	if w := c.Compat.Connections.warning(); w != "" {
		list = append(list, w)
	}
	for _, w := range []string{c.tlsWarning(), c.acmeWarning()} {
		if w != "" {
			list = append(list, w)
		}
	}
	for _, p := range c.Server.Proxies() {
		if p.Bits() == 0 {
			list = append(list, "server.trustedProxies trusts everybody: callers can say that they call from any address.")
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

// minToken is how long a token must be that somebody chooses.
const minToken = 32

// maxDrain bounds what a server may take to stop, but for what can't be hurried.
const maxDrain = 5 * time.Minute

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
	v.address("server.debug", s.Debug, c.Dev)
	if host, _, err := net.SplitHostPort(s.Debug); err == nil {
		v.check("server.debug", s.DebugToken != "" || isLoopback(host), "must be an address of this machine, as 127.0.0.1:6060, or server.debugToken must be set: profiles tell much of a process")
	}
	v.check("server.debugToken", s.DebugToken == "" || len(s.DebugToken.Reveal()) >= minToken, fmt.Sprintf("must have at least %d characters", minToken))
	v.check("server.notice", 0 <= s.Notice && s.Notice <= maxDrain, "must be from 0s to "+maxDrain.String())
	v.check("server.drain", time.Second <= s.Drain && s.Drain <= maxDrain, "must be from 1s to "+maxDrain.String())
	for i, origin := range s.Origins {
		path := index("server.origins", i)
		v.check(path, isOrigin(origin), "must be an origin as browsers write it, such as https://app.example.com: in lower case, with the port if it is not the usual one, and nothing behind")
		v.check(path, !slices.Contains(s.Origins[:i], origin), "is listed twice")
	}
	for i, network := range s.TrustedProxies {
		p, err := parseNetwork(network)
		v.check(index("server.trustedProxies", i), err == nil, fmt.Sprint(err))
		v.check(index("server.trustedProxies", i), err != nil || p.Bits() > 0 || c.Dev,
			"trusts everybody: callers could say that they call from any address, and no limit by address would hold; list the proxies that are there")
	}
}

// isOrigin reports whether text is a serialised origin (RFC 6454, section 6.1)
// of the web, which is what an Origin header is compared with.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || text != u.Scheme+"://"+u.Host || strings.HasSuffix(u.Host, ":") {
		return false
	}
	odd := strings.ContainsFunc(u.Host, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-._:[]", r)
	})
	return !odd && (u.Scheme == "https" && u.Port() != "443" || u.Scheme == "http" && u.Port() != "80")
}

func (v *validator) issuers(issuers []identity.IssuerConfig) {
	for _, p := range identity.ValidateIssuers(issuers) {
		i, field, _ := strings.Cut(p.Field, ".")
		v.check("issuers["+i+"]."+field, false, p.Message)
	}
}

func (v *validator) webhooks(targets []webhook.Config) {
	for _, p := range webhook.Validate(targets) {
		v.check("webhooks"+p.Field, false, p.Message)
	}
}

func (v *validator) session(c Config) {
	const path = "session"
	problems := c.Session.Validate()
	v.section(path, problems)
	v.check(path+".issuer", !slices.ContainsFunc(c.Issuers, func(i identity.IssuerConfig) bool { return i.Issuer == c.Session.Issuer }),
		"is the name of one of issuers, whose users would be taken for those of the session")
	if len(problems) > 0 || !c.Session.Enabled() {
		return
	}
	if _, err := identity.NewForward(c.Session, nil, time.Now); err != nil {
		v.check(path+".caFile", false, strings.TrimPrefix(err.Error(), "identity: forward authentication: "))
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
	case !isHost(u.Hostname()):
		return nil, "must name a host by ASCII letters, digits, dots and hyphens, or by its IP address"
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(text, "#"):
		return nil, "must have neither query nor fragment"
	}
	return u, ""
}

// isHost reports whether a name can be that of a host; some have underscores.
func isHost(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-._") == ""
}

func (v *validator) operators(operators []string) {
	const path = "operators"
	for i, o := range operators {
		v.check(path, isOperator(o), fmt.Sprintf("%q is none of client:ID, user:ISSUER#SUBJECT and group:ISSUER#NAME", o))
		v.check(path, !slices.Contains(operators[:i], o), fmt.Sprintf("%q is listed twice", o))
	}
}

// isOperator reports whether text is among what [usher.Identity.Keys] returns
// for somebody who can be an operator.
func isOperator(text string) bool {
	kind, name, _ := strings.Cut(text, ":")
	switch kind {
	case string(usher.ClientIdentity):
		_, err := usher.ParseID(name)
		return err == nil
	case string(usher.UserIdentity), "group":
		issuer, subject, _ := strings.Cut(name, "#")
		return issuer != "" && subject != ""
	default:
		return false
	}
}

func (v *validator) vpaas(c Config) {
	s, foreign := c.VPaaS, c.ForeignVPaaS()
	if s.APIAddress != "" {
		u, message := parseURL(s.APIAddress)
		if message == "" && foreign && u.Scheme == "http" && !isLoopback(u.Hostname()) {
			message = "must begin with https://, or tokens would travel in the clear; only a VPaaS on this machine may have http://"
		}
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

// platforms checks the sections of the platforms that stand for themselves.
func (v *validator) platforms(c Config) {
	v.section("agora", c.Agora.Validate())
	v.section("livekit", c.LiveKit.Validate())
	v.section("janus", c.Janus.Validate())
	if c.Janus.KeyFile != "" {
		_, err := janus.LoadPrivateKey(c.Janus.KeyFile)
		v.check("janus.keyFile", err == nil, strings.TrimPrefix(fmt.Sprint(err), "janus: private key: "))
	}
	v.section("turn", c.TURN.Validate())
	v.section("turnServer", c.TURNServer.Validate())
	v.check("turn.urls", !c.TURNServer.Enabled() || c.TURN.Enabled(),
		"must name the server of turnServer as clients reach it, such as turn:turn.example.com:3478, and turn.secret must be set")
}

func (v *validator) compat(c Config) {
	v.check("compat.vpaas.enabled", c.Compat.VPaaS.Enabled || !c.Compat.Meetings.Enabled || c.ForeignVPaaS(),
		"must be true where compat.meetings is enabled and vpaas.apiAddress names no other VPaaS")
	v.check("compat.vpaas.access", c.Compat.VPaaS.Access == httpd.ByIdentity,
		"must be identity: only back ends with keys call a VPaaS, and participants have a secret of their own")
	v.check("compat.videochat.access", c.Compat.VideoChat.Access == httpd.ByIdentity,
		"must be identity: only who is somebody has contacts")
	const speaks = "must be speaker, host, or a role of policy.roles with all that a speaker may do: this dialect lets nobody in with less"
	const known = "must be viewer, speaker, host, or a role of policy.roles"
	v.dialect(c, "compat.meetings", c.Compat.Meetings, c.canSpeak, speaks)
	v.dialect(c, "compat.agora", MeetingsDialect(c.Compat.Agora), c.isRole, known)
	v.dialect(c, "compat.janus", MeetingsDialect(c.Compat.Janus), c.canSpeak, speaks)
	v.dialect(c, "compat.livekit", MeetingsDialect(c.Compat.LiveKit), c.isRole, known)
	rooms := c.Compat.RoomService
	v.dialect(c, "compat.roomservice", MeetingsDialect{rooms.Enabled, rooms.Access, rooms.Role}, c.isRole, known)
	v.check("compat.roomservice.lifetime", rooms.Lifetime >= time.Second, "must be at least 1s")
}

// dialect checks a dialect that can be open to everybody, in a role that will do.
func (v *validator) dialect(c Config, path string, d MeetingsDialect, will func(usher.Role) bool, otherwise string) {
	access, role := path+".access", path+".role"
	switch d.Access {
	case httpd.ByIdentity:
	case httpd.BySession:
		v.check(access, c.Session.Enabled(), "is session, which needs session.url: the address that is asked whose session it is")
	case httpd.ToPublic:
		v.check(role, d.Role != "", "must be said where "+access+" is public: what everybody may do")
		v.check(role, d.Role == "" || will(d.Role), otherwise)
	default:
		v.check(access, false, "must be identity, session or public")
	}
	v.check(role, d.Role == "" || d.Access == httpd.ToPublic, "is only for "+access+": public")
}

// isRole reports whether there is a role of that name.
func (c Config) isRole(role usher.Role) bool {
	_, builtin := usher.BuiltinRoles()[role]
	_, ours := c.Policy.Roles[string(role)]
	return builtin || ours
}

// canSpeak reports whether there is a role of that name that has at least the
// permissions of a speaker.
func (c Config) canSpeak(role usher.Role) bool {
	permissions, builtin := usher.BuiltinRoles()[role]
	if !builtin {
		// What is wrong with it, if anything, the section of the policy says.
		permissions, _ = usher.ParsePermissions(c.Policy.Roles[string(role)])
	}
	return usher.BuiltinRoles()[usher.Speaker].Within(permissions)
}
