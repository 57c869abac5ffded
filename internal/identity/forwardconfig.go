package identity

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"usher"
)

// ForwardConfig says how the users of an app that has sessions of its own are known.
type ForwardConfig struct {
	URL         string        `yaml:"url" doc:"The address that is asked who a caller is, with the caller's cookies. It answers 200 and JSON with sub or id, name, email, email_verified and groups, or 401. Nothing is asked if it is not set."`
	Issuer      string        `yaml:"issuer" doc:"What sets these users apart from those of issuers: the first part of their names."`
	App         string        `yaml:"app" doc:"The app that the users belong to."`
	Cookies     []string      `yaml:"cookies" doc:"The cookies of a session. Only these are sent on, and a caller without any is not asked about. If not set, all are sent."`
	Headers     []string      `yaml:"headers" doc:"Headers of the caller that are sent on beside the cookies, as Authorization for tokens that only the app can read."`
	Timeout     time.Duration `yaml:"timeout" doc:"How long to wait for an answer."`
	CacheFor    time.Duration `yaml:"cacheFor" doc:"How long an answer is good, and so how long a session can outlive its end; at most 30s, and 0s asks each time."`
	CAFile      string        `yaml:"caFile" doc:"A file of certificates (PEM) to trust there beside the system's."`
	TrustEmail  bool          `yaml:"trustEmail" doc:"Whether an e-mail address counts that the app does not call verified."`
	Claims      ClaimNames    `yaml:"claims"`
	UserHeaders HeaderNames   `yaml:"userHeaders"`
}

// HeaderNames say in which headers of the app's answer a user is described, for
// one that answers so rather than in JSON.
type HeaderNames struct {
	Subject string `yaml:"subject" doc:"The header that names a user for good, as Remote-User. If it is set, headers count and not JSON."`
	Email   string `yaml:"email" doc:"The header of the e-mail address, which needs trustEmail."`
	Name    string `yaml:"name" doc:"The header of what people call the user."`
	Groups  string `yaml:"groups" doc:"The header of the user's groups, with commas between them."`
}

// The bounds of a ForwardConfig.
const (
	maxForwardTimeout = 10 * time.Second
	maxCacheFor       = 30 * time.Second
)

// DefaultForwardConfig returns the values in force where a configuration is silent.
func DefaultForwardConfig() ForwardConfig {
	return ForwardConfig{Issuer: "session", App: usher.DefaultApp, Timeout: 2 * time.Second, CacheFor: 10 * time.Second}
}

// Enabled reports whether there is anybody to ask.
func (c ForwardConfig) Enabled() bool { return c.URL != "" }

// Validate returns what is wrong with the configuration, field by field.
func (c ForwardConfig) Validate() []usher.FieldProblem {
	var problems []usher.FieldProblem
	check := func(field string, ok bool, message string) {
		if !ok {
			problems = append(problems, usher.FieldProblem{Field: field, Message: message})
		}
	}
	check("url", c.URL == "" || isAddress(c.URL, true), "must be an absolute URL that begins with https:// or http://, without user and fragment")
	check("issuer", c.Issuer != "" && c.Issuer != devIssuer && !strings.Contains(c.Issuer, "#") && strings.IndexFunc(c.Issuer, notPrintable) < 0,
		"must be a name other than dev, without #")
	check("app", c.App != "", "must not be empty")
	for _, name := range c.Cookies {
		check("cookies", isToken(name), "must be names of cookies")
	}
	for _, name := range c.Headers {
		check("headers", isToken(name) && !reserved(name),
			"must be names of headers, and none that says where a request goes or comes from, or how its body is sent: "+name)
	}
	for _, name := range []string{c.UserHeaders.Subject, c.UserHeaders.Email, c.UserHeaders.Name, c.UserHeaders.Groups} {
		check("userHeaders", name == "" || isToken(name), "must be names of headers")
	}
	check("userHeaders.subject", c.UserHeaders == HeaderNames{} || c.UserHeaders.Subject != "", "must be set if any of them is")
	check("timeout", 0 < c.Timeout && c.Timeout <= maxForwardTimeout, "must be more than 0s and at most "+maxForwardTimeout.String())
	check("cacheFor", 0 <= c.CacheFor && c.CacheFor <= maxCacheFor, "must be from 0s to "+maxCacheFor.String())
	return problems
}

// isToken reports whether text can be the name of a header or cookie (RFC 9110,
// section 5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// reserved reports whether a header is not the caller's to set: those of the
// connection and of the body, those that say for whom a proxy speaks, and
// Cookie, which is sent anyway.
func reserved(name string) bool {
	name = http.CanonicalHeaderKey(name)
	for _, prefix := range []string{"X-Forwarded-", "Proxy-", "Sec-Websocket-", "Content-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return slices.Contains([]string{
		"Accept", "Accept-Encoding", "Connection", "Cookie", "Expect", "Forwarded", "Host", "Keep-Alive", "Range", "Te",
		"Trailer", "Transfer-Encoding", "Upgrade", "User-Agent", "Via", "X-Real-Ip",
	}, name)
}
