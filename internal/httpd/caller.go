package httpd

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"usher"
	"usher/internal/identity"
	"usher/internal/limit"
)

// actAs is the header by which a back end acts for a subject: its value is the
// subject's key, user:ISSUER#SUBJECT.
const actAs = "Usher-Act-As"

// identify finds out who calls a route, and whether it may.
func (h *route) identify(r *http.Request) (usher.Identity, error) {
	id, vouched := r.Context().Value(vouchedKey{}).(usher.Identity)
	if !vouched {
		var err error
		if id, err = h.authenticate(r); err != nil {
			return usher.Identity{}, err
		}
	}
	if err := h.admit(id); err != nil {
		return usher.Identity{}, err
	}
	return actingFor(id, r.Header.Values(actAs))
}

// authenticate asks who presents what the request carries.
func (h *route) authenticate(r *http.Request) (usher.Identity, error) {
	if h.dialect.Identify != nil {
		return h.guard(r, h.dialect.Identify)
	}
	proof := ProofOf(r)
	if token := r.Header.Get("Authorization"); h.dialect.BareToken && proof.Malformed && isBare(token) && len(r.Header["Authorization"]) == 1 {
		proof.Malformed, proof.Bearer = false, usher.Secret(token)
	}
	if proof.Malformed && h.dialect.BearerColon {
		proof = proofWithColon(r)
	}
	if h.LoopbackOnly && proof.Empty() && fromElsewhere(r) {
		return usher.Identity{}, errElsewhere
	}
	switch h.dialect.Access {
	case BySession:
		if proof.Empty() {
			if err := identity.SameSite(r.Method, r.Header, h.dialect.CORS.Origins); err != nil {
				return usher.Identity{}, err
			}
		}
		if !proof.Malformed {
			proof.Session = r.Header
		}
	case ToPublic:
		if proof.Empty() {
			if err := h.limitOpen(r); err != nil {
				return usher.Identity{}, err
			}
			return usher.Identity{
				App: usher.DefaultApp, Kind: usher.PublicIdentity, Subject: "anyone", Name: "Anyone",
				Role: h.dialect.PublicRole, Proof: "public dialect " + h.dialect.Name,
			}, nil
		}
	}
	ask := func(r *http.Request) (usher.Identity, error) { return h.Identity.Authenticate(r.Context(), proof) }
	if From(r.Context()).Local {
		return ask(r)
	}
	return h.guard(r, ask)
}

// guard asks who calls, unless the address has failed to say so too often.
func (h *route) guard(r *http.Request, ask func(*http.Request) (usher.Identity, error)) (usher.Identity, error) {
	address := h.addressKey(r)
	if wait, ok := h.Limiters.failed.Peek(address); !ok {
		if _, first := h.Limiters.warned.Allow(address); first { // a line for a burst, not for each call
			h.Logger.Warn("an address fails to authenticate too often and is not listened to for a while", "address", address)
		}
		return usher.Identity{}, limit.Exceeded(wait)
	}
	id, err := ask(r)
	if err != nil && usher.AsError(err).Kind == usher.Unauthenticated {
		h.Metrics.unknown(h.dialect.Name, usher.AsError(err).Code)
		if !errors.Is(err, identity.ErrUnknown) { // who presents nothing guesses nothing
			h.Limiters.failed.Allow(address)
		}
	}
	return id, err
}

var errElsewhere = usher.Errorf(usher.Forbidden, "cross_site",
	"This server is in development mode, and a page from another machine may not make it do anything: send credentials, or serve the page from localhost.")

// fromElsewhere reports whether a browser says that a page of another machine
// made it send a request that may change something. Where callers need no
// credentials, such a page would otherwise be as good as the developer.
func fromElsewhere(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		return !loopbackOrigin(origin)
	}
	return r.Header.Get("Sec-Fetch-Site") == "cross-site"
}

// limitOpen limits the calls of those whom nobody knows, by address. Over the
// control socket, and from inside, it is known who calls.
func (h *route) limitOpen(r *http.Request) error {
	_, vouched := r.Context().Value(vouchedKey{}).(usher.Identity)
	if vouched || From(r.Context()).Local {
		return nil
	}
	address := h.addressKey(r)
	if wait, ok := h.Limiters.open.Allow(address); !ok {
		if _, first := h.Limiters.warned.Allow("open " + address); first {
			h.Logger.Warn("an address calls what anyone may call too often and is refused for a while", "address", address)
		}
		return limit.Exceeded(wait)
	}
	return nil
}

// reads reports whether a request can do nothing. It is not enough in dialects,
// some of which mint by GET.
func reads(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodOptions || r.Method == http.MethodHead
}

// admit holds an identity against what the route says of its callers.
func (h *route) admit(id usher.Identity) error {
	switch {
	case h.Caller == Operators && !id.Operator:
		return usher.Errorf(usher.Forbidden, "operators_only", "Only operators may call this.")
	case h.Caller == Clients && id.Kind != usher.ClientIdentity:
		return identity.ErrUnknown
	case id.Kind == usher.ClientIdentity && h.Scope != "" && !id.Scopes.Has(h.Scope):
		return usher.Errorf(usher.Forbidden, "scope_missing", "This call needs the scope %s, which the credentials do not have.", h.Scope)
	}
	return nil
}

// actingFor returns the subject that a back end acts for, if it names one.
func actingFor(id usher.Identity, subjects []string) (usher.Identity, error) {
	if len(subjects) == 0 {
		return id, nil
	}
	issuer, subject, found := strings.Cut(strings.TrimPrefix(subjects[0], "user:"), "#")
	switch {
	case id.Kind != usher.ClientIdentity || !id.Scopes.Has(usher.SubjectAct):
		return id, usher.Errorf(usher.Forbidden, "scope_missing", "Acting for a subject needs a back end with the scope %s.", usher.SubjectAct)
	case len(subjects) > 1 || !strings.HasPrefix(subjects[0], "user:") || !found || issuer == "" || subject == "" || usher.ValidateName(subjects[0], 512) != nil:
		return id, usher.Errorf(usher.Invalid, "subject_invalid", "The header %s must be user:ISSUER#SUBJECT, once.", actAs)
	}
	return usher.Identity{
		App: id.App, Kind: usher.UserIdentity, Issuer: issuer, Subject: subject,
		Actor: id.Key(), IssuedAt: id.IssuedAt, Expires: id.Expires, Proof: id.Proof + " for its subject",
	}, nil
}

// ProofOf reads what a request presents. An Authorization header that is not a
// bearer token is malformed, not absent.
func ProofOf(r *http.Request) identity.Proof {
	p := identity.Proof{Local: From(r.Context()).Local}
	values := r.Header.Values("Authorization")
	switch len(values) {
	case 0:
	case 1:
		scheme, token, found := strings.Cut(values[0], " ")
		token = strings.TrimLeft(token, " ")
		if !found || !strings.EqualFold(scheme, "Bearer") || token == "" || strings.ContainsAny(token, " ,\t") {
			p.Malformed = true
			break
		}
		p.Bearer = usher.Secret(token)
	default:
		p.Malformed = true
	}
	return p
}

// isBare reports whether a text is one word that can be a token, and not the
// name of a scheme without one.
func isBare(text string) bool {
	return text != "" && !strings.EqualFold(text, "Bearer") && !strings.ContainsAny(text, " ,\t")
}

// proofWithColon is [ProofOf] where the scheme is written "Bearer:".
func proofWithColon(r *http.Request) identity.Proof {
	header := r.Header.Clone()
	for i, value := range header["Authorization"] {
		if scheme, token, found := strings.Cut(value, " "); found && strings.EqualFold(scheme, "Bearer:") {
			header["Authorization"][i] = "Bearer " + token
		}
	}
	spelled := *r
	spelled.Header = header
	return ProofOf(&spelled)
}

// addressKey is the key by which a request's address is limited.
func (s *server) addressKey(r *http.Request) string {
	return limit.AddressKey(Address(r, s.Proxies))
}

// Address returns where a request came from: the peer, or what trusted proxies
// say of the one before them. It goes through X-Forwarded-For from its end and
// stops at the first address that is no trusted proxy, since whatever stands
// before that may be made up.
func Address(r *http.Request, proxies []netip.Prefix) netip.Addr {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	peer := from.Addr()
	trusted := func(a netip.Addr) bool { return contains(proxies, a) }
	if !trusted(peer) {
		return peer.Unmap()
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && trusted(peer); i-- {
		hop, ok := parseHop(strings.TrimSpace(hops[i]))
		if !ok {
			break
		}
		peer = hop
	}
	return peer.Unmap()
}

func contains(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
}

// parseHop reads an address of X-Forwarded-For, to which some proxies add the
// port, and which then, if it is of IPv6, is in brackets.
func parseHop(text string) (netip.Addr, bool) {
	if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
		a, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return a, err == nil && a.Is6()
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return a, true
	}
	a, err := netip.ParseAddrPort(text)
	return a.Addr(), err == nil
}
