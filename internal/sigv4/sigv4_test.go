package sigv4_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"usher"
	"usher/internal/sigv4"
)

const (
	keyID  = "AKIDEXAMPLE"
	secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" // of AWS's own examples
)

var now = time.Date(2026, time.November, 21, 8, 0, 0, 0, time.UTC)

func verifier() *sigv4.Verifier {
	return &sigv4.Verifier{Service: "execute-api", Secrets: map[string]usher.Secret{keyID: secret, "EMPTY": ""}, Now: func() time.Time { return now }}
}

// signed is a request that AWS's own signer has signed.
type signed struct {
	method, url, body string
	header            http.Header
	key, secret       string
	service           string
	at                time.Time
}

func valid() signed {
	return signed{
		method: "POST", url: "http://127.0.0.1:8090/dev/@connections/L0SM9cOFvHcCIhw%3D", body: `{"action":"news"}`,
		header: http.Header{"Content-Type": {"application/octet-stream"}}, key: keyID, secret: secret, service: "execute-api", at: now,
	}
}

func (s signed) request(t *testing.T) (*http.Request, []byte) {
	t.Helper()
	r := httptest.NewRequest(s.method, s.url, strings.NewReader(s.body))
	r.Header = s.header.Clone()
	u, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	r.URL.Host, r.URL.Scheme = u.Host, u.Scheme
	hash := sha256.Sum256([]byte(s.body))
	err = v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: s.key, SecretAccessKey: s.secret, SessionToken: s.header.Get("Session")},
		r, hex.EncodeToString(hash[:]), s.service, "eu-west-1", s.at)
	if err != nil {
		t.Fatal(err)
	}
	return r, []byte(s.body)
}

// What AWS's signer signs is verified.
func TestWhatAWSSignsIsVerified(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*signed){
		"a message":                     func(*signed) {},
		"nothing":                       func(s *signed) { s.method, s.body = "GET", "" },
		"an escaped @":                  func(s *signed) { s.url = "http://127.0.0.1:8090/dev/%40connections/a%2Bb%2Fc%3D" },
		"odd letters in the path":       func(s *signed) { s.url = "http://h/dev/@connections/!'()*~-._%20%C3%A4" },
		"no path":                       func(s *signed) { s.url = "http://h" },
		"a query":                       func(s *signed) { s.url += "?b=2&a=x%20y&a=%2F&c&d=" },
		"names that begin alike":        func(s *signed) { s.url += "?a-b=1&a1=2&a=3" },
		"headers with spaces":           func(s *signed) { s.header["X-Amz-Meta"] = []string{" a   b ", "c"} },
		"the hash of the body as well":  func(s *signed) { s.header.Set("X-Amz-Content-Sha256", hashOf(s.body)) },
		"with a token of a session":     func(s *signed) { s.header.Set("Session", "temporary") },
		"by a clock that goes before":   func(s *signed) { s.at = now.Add(5 * time.Minute) },
		"by a clock that lags":          func(s *signed) { s.at = now.Add(-5 * time.Minute) },
		"on the day before by its time": func(s *signed) { s.at = now.Add(-time.Minute) },
	} {
		s := valid()
		change(&s)
		r, body := s.request(t)
		if got, err := verifier().Verify(r, body); err != nil || got != keyID {
			t.Errorf("%s: got %q and error %v, of %s", name, got, err, r.Header.Get("Authorization"))
		}
	}
}

func hashOf(body string) string {
	hash := sha256.Sum256([]byte(body))
	return hex.EncodeToString(hash[:])
}

// Whatever is different from what was signed is refused.
func TestWhatWasNotSignedSoIsRefused(t *testing.T) {
	t.Parallel()
	const authorization = "Authorization"
	replace := func(old, by string) func(*http.Request, *[]byte) {
		return func(r *http.Request, _ *[]byte) {
			r.Header.Set(authorization, strings.Replace(r.Header.Get(authorization), old, by, 1))
		}
	}
	for name, tt := range map[string]struct {
		sign  func(*signed)
		alter func(*http.Request, *[]byte)
		want  error
	}{
		"no signature":             {alter: func(r *http.Request, _ *[]byte) { r.Header.Del(authorization) }, want: sigv4.ErrMissing},
		"two":                      {alter: func(r *http.Request, _ *[]byte) { r.Header.Add(authorization, r.Header.Get(authorization)) }, want: sigv4.ErrMalformed},
		"a bearer token":           {alter: func(r *http.Request, _ *[]byte) { r.Header.Set(authorization, "Bearer x") }, want: sigv4.ErrMalformed},
		"another body":             {alter: func(_ *http.Request, body *[]byte) { *body = []byte("other") }, want: sigv4.ErrMismatch},
		"another method":           {alter: func(r *http.Request, _ *[]byte) { r.Method = "DELETE" }, want: sigv4.ErrMismatch},
		"another connection":       {alter: func(r *http.Request, _ *[]byte) { r.URL.Path, r.URL.RawPath = "/dev/@connections/x", "" }, want: sigv4.ErrMismatch},
		"another host":             {alter: func(r *http.Request, _ *[]byte) { r.Host = "other" }, want: sigv4.ErrMismatch},
		"one more parameter":       {alter: func(r *http.Request, _ *[]byte) { r.URL.RawQuery = "x=y" }, want: sigv4.ErrMismatch},
		"another signed header":    {alter: func(r *http.Request, _ *[]byte) { r.Header.Set("Content-Type", "text/plain") }, want: sigv4.ErrMismatch},
		"another date":             {alter: func(r *http.Request, _ *[]byte) { r.Header.Set("X-Amz-Date", "20261121T080001Z") }, want: sigv4.ErrMismatch},
		"a date of another day":    {alter: func(r *http.Request, _ *[]byte) { r.Header.Set("X-Amz-Date", "20261120T235959Z") }, want: sigv4.ErrMalformed},
		"no date":                  {alter: func(r *http.Request, _ *[]byte) { r.Header.Del("X-Amz-Date") }, want: sigv4.ErrMalformed},
		"a header that is not":     {alter: func(r *http.Request, _ *[]byte) { r.Header.Set("X-Amz-Other", "x") }, want: sigv4.ErrMalformed},
		"another hash":             {sign: func(s *signed) { s.header.Set("X-Amz-Content-Sha256", hashOf("other")) }, want: sigv4.ErrMismatch},
		"no hash":                  {sign: func(s *signed) { s.header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") }, want: sigv4.ErrMismatch},
		"another secret":           {sign: func(s *signed) { s.secret += "x" }, want: sigv4.ErrMismatch},
		"no secret":                {sign: func(s *signed) { s.key, s.secret = "EMPTY", "" }, want: sigv4.ErrUnknownKey},
		"an unknown key":           {sign: func(s *signed) { s.key = "AKIDOTHER" }, want: sigv4.ErrUnknownKey},
		"another service":          {sign: func(s *signed) { s.service = "dynamodb" }, want: sigv4.ErrMalformed},
		"too old":                  {sign: func(s *signed) { s.at = now.Add(-5*time.Minute - time.Second) }, want: sigv4.ErrExpired},
		"of the future":            {sign: func(s *signed) { s.at = now.Add(5*time.Minute + time.Second) }, want: sigv4.ErrExpired},
		"the host not signed":      {alter: replace(";host;", ";"), want: sigv4.ErrMalformed},
		"fewer headers signed":     {alter: replace("content-length;", ""), want: sigv4.ErrMismatch},
		"another region":           {alter: replace("eu-west-1", "us-east-1"), want: sigv4.ErrMismatch},
		"another end of the scope": {alter: replace("aws4_request", "aws4_other"), want: sigv4.ErrMalformed},
		"a signature cut short":    {alter: replace("Signature=", "Signature=00,X="), want: sigv4.ErrMalformed},
		"another algorithm":        {alter: replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"), want: sigv4.ErrMalformed},
	} {
		s := valid()
		if tt.sign != nil {
			tt.sign(&s)
		}
		r, body := s.request(t)
		if tt.alter != nil {
			tt.alter(r, &body)
		}
		if got, err := verifier().Verify(r, body); !errors.Is(err, tt.want) || got != "" {
			t.Errorf("%s: got %q and error %v, want %v", name, got, err, tt.want)
		}
	}
}

func FuzzAuthorization(f *testing.F) {
	const sound = "AWS4-HMAC-SHA256 Credential=AKID/20261121/us-east-1/execute-api/aws4_request, SignedHeaders=host;x-amz-date, Signature="
	f.Add(sound + strings.Repeat("0a", 32))
	f.Add(sound)
	f.Add("AWS4-HMAC-SHA256 ,,=,Credential=////,SignedHeaders=;;")
	f.Add("Bearer x")
	f.Fuzz(func(t *testing.T, header string) {
		err := sigv4.Parse(header)
		if err != nil && err != sigv4.ErrMalformed {
			t.Errorf("got error %v", err)
		}
		r := httptest.NewRequest("GET", "http://h/", nil)
		r.Header = http.Header{"Authorization": {header}, "X-Amz-Date": {"20261121T080000Z"}}
		if key, err := verifier().Verify(r, nil); err == nil {
			t.Errorf("%q is good, of %q", header, key)
		}
	})
}
