// Package sigv4 verifies requests that were signed with AWS's Signature Version 4
// in their Authorization header, as AWS's SDKs sign what they send to API Gateway.
// The other forms, a signature in the URL and chunks with signatures of their own,
// are refused.
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher"
)

// Verifier knows the keys of those who may call one service.
type Verifier struct {
	// Service is the signing name that requests must be meant for: execute-api.
	Service string
	// Secrets are the secret access keys by the id of the access key.
	Secrets map[string]usher.Secret
	Now     func() time.Time
}

// skew is how far the clocks may be apart, as at AWS.
const skew = 5 * time.Minute

// The ways in which a request is not signed as it must be.
var (
	ErrMissing    = errors.New("sigv4: the request has no Authorization header")
	ErrMalformed  = errors.New("sigv4: the Authorization header is not a complete signature of version 4")
	ErrUnknownKey = errors.New("sigv4: the access key is not known")
	ErrExpired    = errors.New("sigv4: the request was signed too long ago, or in the future")
	ErrMismatch   = errors.New("sigv4: the signature does not match the request")
)

// Verify returns the id of the access key that signed a request with that body,
// or one of the errors of this package.
func (v *Verifier) Verify(r *http.Request, body []byte) (keyID string, err error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return "", ErrMissing
	}
	if len(values) > 1 {
		return "", ErrMalformed
	}
	a, err := parse(values[0])
	if err != nil {
		return "", err
	}
	date := r.Header.Get("X-Amz-Date")
	signed, err := time.Parse(dateForm, date)
	if err != nil || len(r.Header.Values("X-Amz-Date")) > 1 || !a.covers(r.Header) ||
		a.service != v.Service || a.day != date[:len(dayForm)] {
		return "", ErrMalformed
	}
	secret, known := v.Secrets[a.keyID]
	if !known || secret == "" {
		return "", ErrUnknownKey
	}
	if off := v.Now().Sub(signed); off > skew || off < -skew {
		return "", ErrExpired
	}
	hash := sha256.Sum256(body)
	payload := hex.EncodeToString(hash[:])
	if said := r.Header.Values("X-Amz-Content-Sha256"); len(said) > 0 && said[0] != payload {
		return "", ErrMismatch
	}
	toSign := sha256.Sum256([]byte(canonical(r, a.headers, payload)))
	text := algorithm + "\n" + date + "\n" + a.scope() + "\n" + hex.EncodeToString(toSign[:])
	if !hmac.Equal(mac(signingKey(secret, a), text), a.signature) {
		return "", ErrMismatch
	}
	return a.keyID, nil
}

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	dayForm    = "20060102"
	dateForm   = "20060102T150405Z"
)

// authorization is what the header says.
type authorization struct {
	keyID, day, region, service string
	headers                     []string // in lower case, in order
	signature                   []byte
}

func (a authorization) scope() string {
	return a.day + "/" + a.region + "/" + a.service + "/" + terminator
}

// maxHeaders is how many headers may be signed, far beyond what any SDK signs.
const maxHeaders = 64

// parse reads the header.
func parse(header string) (authorization, error) {
	var a authorization
	rest, ok := strings.CutPrefix(header, algorithm+" ")
	if !ok {
		return a, ErrMalformed
	}
	parts := make(map[string]string, 3)
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if _, twice := parts[name]; twice || value == "" || len(parts) == 3 {
			return a, ErrMalformed
		}
		parts[name] = value
	}
	// The id of a key has no slash.
	scope := strings.Split(parts["Credential"], "/")
	if len(scope) != 5 || slices.Contains(scope, "") || scope[4] != terminator {
		return a, ErrMalformed
	}
	a.keyID, a.day, a.region, a.service = scope[0], scope[1], scope[2], scope[3]
	if _, err := time.Parse(dayForm, a.day); err != nil || len(a.day) != len(dayForm) {
		return a, ErrMalformed
	}
	a.headers = strings.Split(parts["SignedHeaders"], ";")
	if len(a.headers) > maxHeaders || !slices.IsSorted(a.headers) || len(slices.Compact(slices.Clone(a.headers))) != len(a.headers) ||
		slices.ContainsFunc(a.headers, func(name string) bool { return name == "" || name != strings.ToLower(name) }) {
		return a, ErrMalformed
	}
	var err error
	if a.signature, err = hex.DecodeString(parts["Signature"]); err != nil || len(a.signature) != sha256.Size {
		return a, ErrMalformed
	}
	return a, nil
}

// covers reports whether all headers are signed that have to be: the host, and
// what is AWS's own.
func (a authorization) covers(h http.Header) bool {
	if !slices.Contains(a.headers, "host") {
		return false
	}
	for name := range h {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") && !slices.Contains(a.headers, name) {
			return false
		}
	}
	return true
}

// canonical returns the request as it is signed.
func canonical(r *http.Request, headers []string, payload string) string {
	var b strings.Builder
	line := func(text string) { b.WriteString(text + "\n") }
	line(r.Method)
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	line(escape(path, true)) // once more than in the request
	line(canonicalQuery(r.URL.RawQuery))
	for _, name := range headers {
		line(name + ":" + headerValue(r, name))
	}
	line("")
	line(strings.Join(headers, ";"))
	b.WriteString(payload)
	return b.String()
}

// headerValue returns the values of a header in one line, each with single spaces.
func headerValue(r *http.Request, name string) string {
	switch name { // net/http keeps these two elsewhere
	case "host":
		return r.Host
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	}
	values := slices.Clone(r.Header.Values(name))
	for i, v := range values {
		values[i] = strings.Join(strings.Fields(v), " ")
	}
	return strings.Join(values, ",")
}

// canonicalQuery returns the parameters in order, each escaped in the one way.
func canonicalQuery(raw string) string {
	var pairs [][]string
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		for _, s := range []*string{&name, &value} {
			if plain, err := url.PathUnescape(*s); err == nil {
				*s = plain
			}
			*s = escape(*s, false)
		}
		pairs = append(pairs, []string{name, value})
	}
	slices.SortFunc(pairs, slices.Compare) // by names first: "=" is after some letters of names
	var b strings.Builder
	for i, pair := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(pair[0] + "=" + pair[1])
	}
	return b.String()
}

// escape writes every byte but the unreserved ones as %XX.
func escape(s string, keepSlash bool) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', strings.IndexByte("-._~", c) >= 0, c == '/' && keepSlash:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

// signingKey derives the key of a day, a region and a service from the secret.
func signingKey(secret usher.Secret, a authorization) []byte {
	key := []byte("AWS4" + secret.Reveal())
	for _, part := range []string{a.day, a.region, a.service, terminator} {
		key = mac(key, part)
	}
	return key
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
