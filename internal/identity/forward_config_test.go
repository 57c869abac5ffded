package identity_test

import (
	"bytes"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher/internal/identity"
)

func TestForwardTrustsTheCAFile(t *testing.T) {
	server := httptest.NewTLSServer(text(`{"sub":"7"}`))
	server.Config.ErrorLog = nil
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	c := identity.DefaultForwardConfig()
	c.URL, c.CAFile = server.URL, file
	f, err := identity.NewForward(c, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := present(f, "Cookie", "a=1"); err != nil || id.Subject != "7" {
		t.Errorf("%+v, %v", id, err)
	}
	if err := os.WriteFile(file, bytes.ToLower(certificate), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.NewForward(c, nil, nil); err == nil {
		t.Error("a file without certificates is accepted")
	}
}

func TestForwardConfigValidate(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*identity.ForwardConfig)
		want   []string
	}{
		"the defaults": {func(c *identity.ForwardConfig) { c.URL = "" }, nil},
		"good": {func(c *identity.ForwardConfig) {
			c.Cookies, c.Headers = []string{"sid"}, []string{"X-Tenant", "authorization"}
		}, nil},
		"a file":                        {func(c *identity.ForwardConfig) { c.URL = "file:///etc/passwd" }, []string{"url"}},
		"a password":                    {func(c *identity.ForwardConfig) { c.URL = "http://a:b@localhost" }, []string{"url"}},
		"the issuer of the development": {func(c *identity.ForwardConfig) { c.Issuer = "dev" }, []string{"issuer"}},
		"an issuer that is two":         {func(c *identity.ForwardConfig) { c.Issuer = "a#b" }, []string{"issuer"}},
		"no issuer and no app":          {func(c *identity.ForwardConfig) { c.Issuer, c.App = "", "" }, []string{"issuer", "app"}},
		"what no cookie is called":      {func(c *identity.ForwardConfig) { c.Cookies = []string{"a=b", ""} }, []string{"cookies", "cookies"}},
		"what no header is called":      {func(c *identity.ForwardConfig) { c.Headers = []string{"a: b", "a\r\nb"} }, []string{"headers", "headers"}},
		"headers that are not theirs": {func(c *identity.ForwardConfig) {
			c.Headers = []string{"host", "Transfer-Encoding", "content-length", "X-Forwarded-User", "cookie", "Upgrade", "te", "x-real-ip", "Connection"}
		}, []string{"headers", "headers", "headers", "headers", "headers", "headers", "headers", "headers", "headers"}},
		"a user without a name for good": {func(c *identity.ForwardConfig) { c.UserHeaders.Name = "Remote-Name" }, []string{"userHeaders.subject"}},
		"no time":                        {func(c *identity.ForwardConfig) { c.Timeout = 0 }, []string{"timeout"}},
		"too much time":                  {func(c *identity.ForwardConfig) { c.Timeout, c.CacheFor = time.Minute, time.Minute }, []string{"timeout", "cacheFor"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := identity.DefaultForwardConfig()
			c.URL = "https://app.example.org/whoami?format=json"
			test.change(&c)
			var got []string
			for _, p := range c.Validate() {
				got = append(got, p.Field)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("the fields differ (-want +got):\n%s", diff)
			}
			if _, err := identity.NewForward(c, nil, nil); (err == nil) != (test.want == nil && c.Enabled()) {
				t.Errorf("NewForward: %v", err)
			}
		})
	}
}

func TestSameSite(t *testing.T) {
	origins := []string{"https://app.example.org", "http://localhost:8080"}
	for name, test := range map[string]struct {
		method string
		header http.Header
		want   error
	}{
		"reading":                              {"GET", nil, nil},
		"reading from another site":            {"HEAD", withHeaders("Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"), nil},
		"a change from our page":               {"POST", withHeaders("Origin", "https://app.example.org", "Sec-Fetch-Site", "cross-site"), nil},
		"a change from the server's own page":  {"DELETE", withHeaders("Origin", "https://usher.example", "Sec-Fetch-Site", "same-origin"), nil},
		"the same without Origin":              {"PUT", withHeaders("Sec-Fetch-Site", "same-origin"), nil},
		"a change from another site":           {"POST", withHeaders("Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"), identity.ErrCrossSite},
		"a change from a sibling":              {"POST", withHeaders("Origin", "https://blog.example.org", "Sec-Fetch-Site", "same-site"), identity.ErrCrossSite},
		"an origin that begins alike":          {"POST", withHeaders("Origin", "https://app.example.org.evil.example"), identity.ErrCrossSite},
		"an origin with another port":          {"POST", withHeaders("Origin", "https://app.example.org:8443"), identity.ErrCrossSite},
		"an origin in clear":                   {"POST", withHeaders("Origin", "http://app.example.org"), identity.ErrCrossSite},
		"two origins":                          {"POST", withHeaders("Origin", "https://app.example.org", "Origin", "https://evil.example"), identity.ErrCrossSite},
		"null":                                 {"POST", withHeaders("Origin", "null"), identity.ErrCrossSite},
		"neither":                              {"POST", nil, identity.ErrCrossSite},
		"typed in by hand":                     {"POST", withHeaders("Sec-Fetch-Site", "none"), identity.ErrCrossSite},
		"a method that is unknown":             {"get", nil, identity.ErrCrossSite},
		"a WebSocket from our page":            {"GET", withHeaders("Upgrade", "websocket", "Origin", "http://localhost:8080"), nil},
		"a WebSocket from another site":        {"GET", withHeaders("Upgrade", "websocket", "Origin", "https://evil.example"), identity.ErrCrossSite},
		"a WebSocket from no page at all":      {"GET", withHeaders("Upgrade", "websocket"), identity.ErrCrossSite},
		"the mark of the browser, twice":       {"POST", withHeaders("Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "cross-site"), identity.ErrCrossSite},
		"null, though somebody has allowed it": {"POST", withHeaders("Origin", "null"), identity.ErrCrossSite},
	} {
		t.Run(name, func(t *testing.T) {
			allowed := origins
			if strings.HasPrefix(name, "null, though") {
				allowed = []string{"null"}
			}
			if err := identity.SameSite(test.method, test.header, allowed); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}
