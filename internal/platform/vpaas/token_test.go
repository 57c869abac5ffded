package vpaas_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usher"
	"usher/internal/platform/vpaas"
)

const crowd = 50

// together makes that many calls at once and returns their errors.
func together(t *testing.T, p *vpaas.Platform) func() []error {
	errs := make([]error, crowd)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			if i%2 == 0 {
				_, errs[i] = p.Open(t.Context())
			} else {
				_, errs[i] = p.Issue(t.Context(), request(meeting))
			}
		})
	}
	return func() []error { wg.Wait(); return errs }
}

func allSucceeded(t *testing.T, errs []error) {
	t.Helper()
	for i, err := range errs {
		if err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

func TestConcurrentColdCallsShareOneTokenRequest(t *testing.T) {
	for _, expiresIn := range []string{"3600", "1"} {
		t.Run("a token for "+expiresIn+" s", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, p := connect(t)
				f.expiresIn = expiresIn
				release := make(chan struct{})
				f.before = func(_ http.ResponseWriter, r *http.Request) bool {
					if r.URL.Path == "/oauth/token" {
						<-release
					}
					return false
				}
				wait := together(t, p)
				synctest.Wait() // all of them need a token and none has one
				close(release)
				allSucceeded(t, wait())
				if got := f.tokenRequests(); got != 1 {
					t.Errorf("got %d token requests, want 1", got)
				}
				if got := len(f.callsMade()); got != crowd {
					t.Errorf("got %d calls, want %d", got, crowd)
				}
			})
		})
	}
}

func TestATokenThatIsRevokedIsRenewedOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := connect(t)
		if _, err := p.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.revoke()
		release := make(chan struct{})
		f.before = func(http.ResponseWriter, *http.Request) bool { <-release; return false }
		wait := together(t, p)
		synctest.Wait() // all of them have sent the old token
		close(release)
		allSucceeded(t, wait())
		if got := f.tokenRequests(); got != 2 {
			t.Errorf("got %d token requests, want the first and one renewal", got)
		}
	})
}

func TestATokenThatStaysRefusedIsNotRenewedAgain(t *testing.T) {
	f, p := connect(t)
	sent := 0
	f.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/oauth/token" {
			return false
		}
		sent++
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	_, err := p.Open(t.Context())
	if got := usher.AsError(err); got.Kind != usher.Upstream || got.Code != "vpaas_refused" {
		t.Errorf("got %v, want vpaas_refused", err)
	}
	if sent != 2 || f.tokenRequests() != 2 {
		t.Errorf("got %d calls and %d token requests, want 2 of each", sent, f.tokenRequests())
	}
}

func TestATokenIsUsedUntilAMinuteBeforeItsEnd(t *testing.T) {
	for name, test := range map[string]struct {
		expiresIn string
		later     time.Duration // between two calls
		want      int           // token requests
	}{
		"well before its end":             {"3600", 3539 * time.Second, 1},
		"a minute before its end":         {"3600", 3540 * time.Second, 2},
		"a lifetime with a fraction":      {"61.5", time.Second, 1},
		"a second above the margin":       {"61", 999 * time.Millisecond, 1},
		"used for one call: the margin":   {"60", 0, 2},
		"used for one call: none":         {"0", 0, 2},
		"used for one call: negative":     {"-1", 0, 2},
		"used for one call: no number":    {"null", 0, 2},
		"used for one call: an object":    {"{}", 0, 2},
		"longer than we believe":          {"1e300", 24*time.Hour - 61*time.Second, 1},
		"longer than we believe, renewed": {"1e300", 24 * time.Hour, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, p := connect(t)
				f.expiresIn = test.expiresIn
				for i := range 2 {
					if _, err := p.Open(t.Context()); err != nil {
						t.Fatal(err)
					}
					if i == 0 {
						<-time.After(test.later)
					}
				}
				if got := f.tokenRequests(); got != test.want {
					t.Errorf("got %d token requests, want %d", got, test.want)
				}
			})
		})
	}
}

func TestAFailedTokenRequestIsMadeAgain(t *testing.T) {
	f, p := connect(t)
	fail := true
	f.before = func(w http.ResponseWriter, r *http.Request) bool {
		if fail {
			w.WriteHeader(http.StatusInternalServerError)
		}
		return fail
	}
	_, err := p.Open(t.Context())
	if got := usher.AsError(err); got.Code != "vpaas_failed" {
		t.Errorf("got %v, want vpaas_failed", err)
	}
	fail = false
	if _, err := p.Open(t.Context()); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

func TestTheOneWhoFetchesMayGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := connect(t)
		release := make(chan struct{})
		f.before = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/oauth/token" {
				select {
				case <-release:
				case <-r.Context().Done():
				}
			}
			return false
		}
		ctx, giveUp := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { _, err := p.Open(ctx); first <- err }()
		synctest.Wait()
		go func() { _, err := p.Open(t.Context()); second <- err }()
		synctest.Wait()
		giveUp()
		synctest.Wait()
		close(release)

		err := <-first
		if _, told := errors.AsType[*usher.Error](err); told || !errors.Is(err, context.Canceled) {
			t.Errorf("the one who gave up: got %v, want that its context ended", err)
		}
		if err := <-second; err != nil {
			t.Errorf("the one who waited: %v", err)
		}
		if got := f.tokenRequests(); got != 1 {
			t.Errorf("got %d token requests, want 1", got)
		}
	})
}

func TestOneWhoWaitsForATokenMayGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := connect(t)
		release := make(chan struct{})
		f.before = func(http.ResponseWriter, *http.Request) bool { <-release; return false }
		first := make(chan error, 1)
		go func() { _, err := p.Open(t.Context()); first <- err }()
		synctest.Wait()
		ctx, giveUp := context.WithCancel(t.Context())
		second := make(chan error, 1)
		go func() { _, err := p.Open(ctx); second <- err }()
		synctest.Wait()
		giveUp()
		if err := <-second; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want that its context ended", err)
		}
		close(release)
		if err := <-first; err != nil {
			t.Errorf("the one who stayed: %v", err)
		}
	})
}

func TestAPanicInATokenRequestLeavesNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := connect(t)
		release := make(chan struct{})
		f.before = func(http.ResponseWriter, *http.Request) bool { <-release; panic("transport") }
		panicked := make(chan any, 1)
		go func() {
			defer func() { panicked <- recover() }()
			_, _ = p.Open(t.Context())
		}()
		synctest.Wait()
		waiting := make(chan error, 1)
		go func() { _, err := p.Open(t.Context()); waiting <- err }()
		synctest.Wait()
		close(release)
		if v := <-panicked; v != "transport" {
			t.Errorf("got the panic %v, want the transport's", v)
		}
		if err := <-waiting; err == nil {
			t.Error("the one who waited got no error")
		}
		f.before = nil
		if _, err := p.Open(t.Context()); err != nil {
			t.Errorf("the next call: %v", err)
		}
	})
}
