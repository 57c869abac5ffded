package identity_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/identity"
)

// app is somebody's app with sessions.
type app struct {
	*httptest.Server

	mu     sync.Mutex
	now    time.Time
	answer http.HandlerFunc
	asked  []*http.Request
}

func newApp(t testing.TB) *app {
	t.Helper()
	a := &app{now: start, answer: text(`{"id":7,"name":"Anna","email":"anna@example.org","email_verified":true,"groups":["staff"]}`)}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.asked = append(a.asked, r)
	answer := a.answer
	a.mu.Unlock()
	answer(w, r)
}

func (a *app) do(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

func (a *app) clock() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now
}

func (a *app) requests() []*http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked
}

func (a *app) forward(t testing.TB, change ...func(*identity.ForwardConfig)) *identity.Forward {
	t.Helper()
	c := identity.DefaultForwardConfig()
	c.URL = a.URL + "/whoami?for=usher"
	for _, f := range change {
		f(&c)
	}
	f, err := identity.NewForward(c, nil, a.clock)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func text(body string) http.HandlerFunc { return status(http.StatusOK, body) }

func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}
}

// withHeaders returns headers from names and values in turn.
func withHeaders(pairs ...string) http.Header {
	h := make(http.Header)
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func present(f identity.Authenticator, pairs ...string) (usher.Identity, error) {
	return f.Authenticate(context.Background(), identity.Proof{Session: withHeaders(pairs...)})
}

func TestForwardKnowsTheAppsUsers(t *testing.T) {
	user := usher.Identity{App: usher.DefaultApp, Kind: usher.UserIdentity, Issuer: "session", Proof: "session session", IssuedAt: start}
	anna := user
	anna.Subject, anna.Name, anna.Email, anna.Groups = "7", "Anna", "anna@example.org", []string{"staff"}
	for name, test := range map[string]struct {
		config func(*identity.ForwardConfig)
		answer http.HandlerFunc
		want   func(*usher.Identity)
	}{
		"JSON with an id": {want: func(id *usher.Identity) { *id = anna }},
		"JSON with sub": {
			answer: text(fmt.Sprintf(`{"sub":"u7","id":"session 1","iat":%d,"exp":%d}`, start.Unix()-60, start.Unix()+60)),
			want: func(id *usher.Identity) {
				id.Subject, id.IssuedAt, id.Expires = "u7", time.Unix(start.Unix()-60, 0).UTC(), time.Unix(start.Unix()+60, 0).UTC()
			},
		},
		"an address that is not verified": {
			answer: text(`{"sub":"7","email":"a@b.c"}`),
			want:   func(id *usher.Identity) { id.Subject = "7" },
		},
		"an address that is trusted": {
			config: func(c *identity.ForwardConfig) { c.TrustEmail = true },
			answer: text(`{"sub":"7","email":"a@b.c"}`),
			want:   func(id *usher.Identity) { id.Subject, id.Email = "7", "a@b.c" },
		},
		"another app's shape": {
			config: func(c *identity.ForwardConfig) {
				c.App, c.Issuer, c.Claims = "acme", "acme", identity.ClaimNames{Subject: "user.uuid", Name: "user.handle"}
			},
			answer: text(`{"user":{"uuid":"x","handle":"jo"},"expires":"soon"}`),
			want: func(id *usher.Identity) {
				id.App, id.Issuer, id.Proof, id.Subject, id.Name = "acme", "acme", "session acme", "x", "jo"
			},
		},
		"headers, as of Authelia": {
			config: func(c *identity.ForwardConfig) {
				c.TrustEmail = true
				c.UserHeaders = identity.HeaderNames{Subject: "remote-user", Email: "Remote-Email", Name: "Remote-Name", Groups: "Remote-Groups"}
			},
			answer: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Remote-User", "john")
				w.Header().Set("Remote-Name", "John")
				w.Header().Set("Remote-Email", "j@b.c")
				w.Header().Set("Remote-Groups", "admins, dev")
				w.WriteHeader(http.StatusAccepted)
			},
			want: func(id *usher.Identity) {
				id.Subject, id.Name, id.Email, id.Groups = "john", "John", "j@b.c", []string{"admins", "dev"}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t)
			if test.answer != nil {
				a.do(func() { a.answer = test.answer })
			}
			if test.config == nil {
				test.config = func(*identity.ForwardConfig) {}
			}
			got, err := present(a.forward(t, test.config), "Cookie", "session=1")
			if err != nil {
				t.Fatal(err)
			}
			want := user
			test.want(&want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the identity differs (-want +got):\n%s", diff)
			}
		})
	}
}

// What was revoked until now must refuse what was answered before, also from
// the cache, and nothing that is answered after.
func TestAnAnswerIsAsOldAsTheAsking(t *testing.T) {
	a := newApp(t)
	f := a.forward(t, func(c *identity.ForwardConfig) { c.CacheFor = 10 * time.Second })
	for _, step := range []struct {
		pass time.Duration
		want time.Time
	}{{0, start}, {9 * time.Second, start}, {time.Second, start.Add(10 * time.Second)}} {
		a.do(func() { a.now = a.now.Add(step.pass) })
		id, err := present(f, "Cookie", "session=1")
		if err != nil || !id.IssuedAt.Equal(step.want) {
			t.Errorf("at %v: got %v, %v, want %v", a.clock(), id.IssuedAt, err, step.want)
		}
	}
}

func TestForwardSendsOnlyWhatItMay(t *testing.T) {
	cookies := func(names ...string) func(*identity.ForwardConfig) {
		return func(c *identity.ForwardConfig) { c.Cookies = names }
	}
	for name, test := range map[string]struct {
		config func(*identity.ForwardConfig)
		proof  identity.Proof
		want   http.Header // nil: nothing is asked
		err    error
	}{
		"all cookies":               {cookies(), identity.Proof{Session: withHeaders("Cookie", "a=1; b=2")}, withHeaders("Cookie", "a=1; b=2"), nil},
		"the cookies of a session":  {cookies("sid", "sid.sig"), identity.Proof{Session: withHeaders("Cookie", `_ga=1;sid="x=y" ; sid.sig=z; sidx=1`)}, withHeaders("Cookie", `sid="x=y"; sid.sig=z`), nil},
		"the same cookie twice":     {cookies("sid"), identity.Proof{Session: withHeaders("Cookie", "sid=1; sid=2")}, withHeaders("Cookie", "sid=1; sid=2"), nil},
		"none of them":              {cookies("sid"), identity.Proof{Session: withHeaders("Cookie", "_ga=1; SID=2; sid")}, nil, identity.ErrNotMine},
		"no cookies at all":         {cookies(), identity.Proof{Session: withHeaders("X-Other", "a")}, nil, identity.ErrNotMine},
		"a dialect without session": {cookies(), identity.Proof{}, nil, identity.ErrNotMine},
		"a token":                   {cookies(), identity.Proof{Bearer: "x", Session: withHeaders("Cookie", "a=1")}, nil, identity.ErrNotMine},
		"something like a token":    {cookies(), identity.Proof{Malformed: true, Session: withHeaders("Cookie", "a=1")}, nil, identity.ErrNotMine},
		"no header but those listed": {
			func(c *identity.ForwardConfig) { c.Headers = []string{"x-tenant"} },
			identity.Proof{Session: withHeaders("Cookie", "a=1", "X-Tenant", "t", "X-Forwarded-For", "127.0.0.1", "X-User", "root", "Host", "evil")},
			withHeaders("Cookie", "a=1", "X-Tenant", "t"), nil,
		},
		"a token for the app to judge": {
			func(c *identity.ForwardConfig) { c.Headers = []string{"authorization"} },
			identity.Proof{Bearer: "x", Session: withHeaders("Authorization", "Bearer x")}, withHeaders("Authorization", "Bearer x"), nil,
		},
		"a listed header, but no cookie of a session": {
			func(c *identity.ForwardConfig) { c.Cookies, c.Headers = []string{"sid"}, []string{"X-Tenant"} },
			identity.Proof{Session: withHeaders("X-Tenant", "t")}, nil, identity.ErrNotMine,
		},
		"a header twice": {
			func(c *identity.ForwardConfig) { c.Headers = []string{"X-Tenant"} },
			identity.Proof{Session: withHeaders("Cookie", "a=1", "X-Tenant", "t", "X-Tenant", "u")}, nil, identity.ErrNotSignedIn,
		},
		"two Cookie headers":   {cookies(), identity.Proof{Session: withHeaders("Cookie", "a=1", "Cookie", "b=1")}, nil, identity.ErrNotSignedIn},
		"a line break":         {cookies(), identity.Proof{Session: withHeaders("Cookie", "a=1\r\nX-User: root")}, nil, identity.ErrNotSignedIn},
		"half a line break":    {cookies("a"), identity.Proof{Session: withHeaders("Cookie", "a=1\nX-User: root")}, nil, identity.ErrNotSignedIn},
		"a zero":               {cookies(), identity.Proof{Session: withHeaders("Cookie", "a=\x00")}, nil, identity.ErrNotSignedIn},
		"cookies without end":  {cookies(), identity.Proof{Session: withHeaders("Cookie", "a="+strings.Repeat("1", 16<<10))}, nil, identity.ErrNotSignedIn},
		"an empty cookie line": {cookies(), identity.Proof{Session: withHeaders("Cookie", "")}, nil, identity.ErrNotMine},
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t)
			_, err := a.forward(t, test.config).Authenticate(t.Context(), test.proof)
			if !errors.Is(err, test.err) {
				t.Fatalf("%v, want %v", err, test.err)
			}
			asked := a.requests()
			if test.want == nil {
				if len(asked) > 0 {
					t.Errorf("the app was asked with %v", asked[0].Header)
				}
				return
			}
			if len(asked) != 1 {
				t.Fatalf("the app was asked %d times, want once", len(asked))
			}
			r := asked[0]
			if r.Method != http.MethodGet || r.RequestURI != "/whoami?for=usher" || "http://"+r.Host != a.URL {
				t.Errorf("it was asked %s %s at %s", r.Method, r.RequestURI, r.Host)
			}
			got := r.Header.Clone()
			for _, ours := range []string{"Accept", "User-Agent", "Accept-Encoding"} {
				got.Del(ours)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("the headers differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestForwardAnswers(t *testing.T) {
	elsewhere := newApp(t)
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   error
	}{
		"401":                         {status(401, ""), identity.ErrNotSignedIn},
		"403":                         {status(403, `{"sub":"1"}`), identity.ErrNotSignedIn},
		"a way to a page to sign in":  {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, identity.ErrNotSignedIn},
		"an empty object":             {text(`{}`), identity.ErrNotSignedIn},
		"null":                        {text(`null`), identity.ErrNotSignedIn},
		"a session that is over":      {text(fmt.Sprintf(`{"sub":"1","exp":%d}`, start.Unix())), identity.ErrNotSignedIn},
		"404":                         {status(404, ""), identity.ErrIssuerUnavailable},
		"500":                         {status(500, `{"sub":"1"}`), identity.ErrIssuerUnavailable},
		"201":                         {status(201, `{"sub":"1"}`), identity.ErrIssuerUnavailable},
		"a page":                      {text(`<html>sign in</html>`), identity.ErrIssuerUnavailable},
		"a list":                      {text(`[{"sub":"1"}]`), identity.ErrIssuerUnavailable},
		"nobody in particular":        {text(`{"name":"Anna"}`), identity.ErrIssuerUnavailable},
		"a subject that is an object": {text(`{"sub":{"a":1}}`), identity.ErrIssuerUnavailable},
		"a subject of two lines":      {text(`{"sub":"a\nb"}`), identity.ErrIssuerUnavailable},
		"the subject twice":           {text(`{"sub":"a","sub":"b"}`), identity.ErrIssuerUnavailable},
		"a time that is none":         {text(`{"sub":"a","exp":"never"}`), identity.ErrIssuerUnavailable},
		"an answer without end":       {text(`{"sub":"a","x":"` + strings.Repeat("x", 64<<10) + `"}`), identity.ErrIssuerUnavailable},
		"a connection that is reset":  {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, identity.ErrIssuerUnavailable},
		"headers that nobody asked":   {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Remote-User", "root") }, identity.ErrIssuerUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t)
			a.do(func() { a.answer = test.answer })
			f := a.forward(t)
			for range 2 { // a refusal is not remembered
				got, err := present(f, "Cookie", "session=canary")
				if !errors.Is(err, test.want) || got.Known() {
					t.Errorf("%+v, %v; want %v", got, err, test.want)
				}
				if strings.Contains(err.Error(), "canary") {
					t.Error("the error has the cookie in it")
				}
			}
			if n := len(a.requests()); n != 2 {
				t.Errorf("the app was asked %d times, want twice", n)
			}
		})
	}
	if n := len(elsewhere.requests()); n != 0 {
		t.Errorf("another server was asked %d times", n)
	}
	t.Run("headers without a subject", func(t *testing.T) {
		a := newApp(t)
		_, err := present(a.forward(t, func(c *identity.ForwardConfig) { c.UserHeaders.Subject = "Remote-User" }), "Cookie", "a=1")
		if !errors.Is(err, identity.ErrIssuerUnavailable) {
			t.Errorf("%v, want ErrIssuerUnavailable", err)
		}
	})
	t.Run("nothing in time", func(t *testing.T) {
		a := newApp(t)
		over := make(chan struct{})
		t.Cleanup(func() { close(over) })
		a.do(func() { a.answer = func(http.ResponseWriter, *http.Request) { <-over } })
		_, err := present(a.forward(t, func(c *identity.ForwardConfig) { c.Timeout = 20 * time.Millisecond }), "Cookie", "a=1")
		if !errors.Is(err, identity.ErrIssuerUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want ErrIssuerUnavailable", err)
		}
	})
}

func TestForwardAsksNotTooManyAtOnce(t *testing.T) {
	const limit = 32
	a := newApp(t)
	arrived, over := make(chan struct{}, 2*limit), make(chan struct{})
	a.do(func() {
		a.answer = func(w http.ResponseWriter, _ *http.Request) {
			arrived <- struct{}{}
			<-over
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	f := a.forward(t, func(c *identity.ForwardConfig) { c.Timeout = 10 * time.Second })
	var wg sync.WaitGroup
	for i := range limit {
		wg.Go(func() {
			if _, err := present(f, "Cookie", fmt.Sprint("session=", i)); !errors.Is(err, identity.ErrNotSignedIn) {
				t.Errorf("%v, want ErrNotSignedIn", err)
			}
		})
	}
	for range limit {
		<-arrived
	}
	// All who may ask are asking. Whoever comes now waits, and asks nothing.
	for i := range limit {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		_, err := f.Authenticate(ctx, identity.Proof{Session: withHeaders("Cookie", fmt.Sprint("late=", i))})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the end of the caller's patience", err)
		}
	}
	if n := len(a.requests()); n != limit {
		t.Errorf("the app was asked %d times, want %d", n, limit)
	}
	close(over)
	wg.Wait()
}

func TestForwardRemembersForAWhile(t *testing.T) {
	a := newApp(t)
	f := a.forward(t, func(c *identity.ForwardConfig) { c.Headers = []string{"X-Tenant"} })
	ask := func(want int, pairs ...string) {
		t.Helper()
		id, err := present(f, pairs...)
		if err != nil || id.Subject != "7" {
			t.Fatalf("%+v, %v", id, err)
		}
		id.Groups[0] = "operators" // what one caller makes of it is not another's
		if again, err := present(f, pairs...); err != nil || again.Groups[0] != "staff" {
			t.Errorf("%+v, %v", again, err)
		}
		if got := len(a.requests()); got != want {
			t.Errorf("the app was asked %d times, want %d", got, want)
		}
	}
	ask(1, "Cookie", "a=1")
	ask(2, "Cookie", "a=2")
	ask(3, "Cookie", "a=1", "X-Tenant", "t")
	ask(4, "X-Tenant", "a=1")
	a.do(func() { a.now = a.now.Add(10*time.Second - 1) })
	ask(4, "Cookie", "a=1")
	a.do(func() { a.now = a.now.Add(1) })
	ask(5, "Cookie", "a=1")
	// Who has signed out is out when the answer is no longer good.
	a.do(func() { a.answer = status(401, ""); a.now = a.now.Add(10 * time.Second) })
	if _, err := present(f, "Cookie", "a=1"); !errors.Is(err, identity.ErrNotSignedIn) {
		t.Errorf("%v, want ErrNotSignedIn", err)
	}
	a.do(func() { a.answer = text(`{"sub":"7"}`) })
	each := a.forward(t, func(c *identity.ForwardConfig) { c.CacheFor = 0 })
	before := len(a.requests())
	for range 3 {
		if _, err := present(each, "Cookie", "a=1"); err != nil {
			t.Error(err)
		}
	}
	if got := len(a.requests()) - before; got != 3 {
		t.Errorf("without a memory the app was asked %d times of 3", got)
	}
}
