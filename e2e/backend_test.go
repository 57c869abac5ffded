package e2e_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// seedConfig is config/default.json as the seed's page prints it.
const seedConfig = `{
"vpaas": {
"apiAddress": "https://crud.pexip.rocks",
"credentials": {
"clientId": "euopeke6qei65m5prjcvnqv2lq",
"privateKeyPath": "./config/credentials/privateKey.pem"
}
},
"server": {
"port": 3000
}
}
`

// backEnd starts an Usher as the tutorial's back end in front of another, in a
// folder laid out as the tutorial's server has it.
func backEnd(t *testing.T, service *Server, clientID string, key keyFiles) *Server {
	t.Helper()
	port := unusedPort(t)
	config := replaceOnce(t, seedConfig, "https://crud.pexip.rocks", service.HTTPS)
	config = replaceOnce(t, config, "euopeke6qei65m5prjcvnqv2lq", clientID)
	config = replaceOnce(t, config, "3000", port)

	dir := t.TempDir()
	credentials := filepath.Join(dir, "config", "credentials")
	if err := os.MkdirAll(credentials, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string][]byte{
		filepath.Join(dir, "config", "default.json"): []byte(config),
		filepath.Join(credentials, "privateKey.pem"): readFile(t, key.Private),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, options{
		Dir: dir, FileHTTPS: true, Args: []string{"--config", "config/default.json"},
		// The service's certificate is private, which Pexip's is not.
		Env: []string{"USHER_VPAAS_CA_FILE=" + service.CA()},
	})
	if want := "https://localhost:" + port; s.HTTPS != want {
		t.Fatalf("the back end is at %s, want %s as its file says", s.HTTPS, want)
	}
	return s
}

func replaceOnce(t *testing.T, text, old, replacement string) string {
	t.Helper()
	if strings.Count(text, old) != 1 {
		t.Fatalf("%q is there %d times, want once", old, strings.Count(text, old))
	}
	return strings.Replace(text, old, replacement, 1)
}

// unusedPort returns a port that nobody listened on a moment ago.
func unusedPort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// tutorialPage is the origin of the tutorial's front end.
const tutorialPage = "https://localhost:4000"

// browse is what the tutorial's front end, a page of that origin, asks its back
// end for, up to the socket at the service.
func browse(t *testing.T, front, service *Server, page string) *socketConn {
	t.Helper()
	origin := []string{"Origin", page}
	meeting := front.must(http.StatusOK, http.MethodPost, "/meetings", "", origin...).text(t, "id")
	a := front.must(http.StatusOK, http.MethodPost, "/meetings/"+meeting+"/participants", "", origin...)
	p := place{meeting, a.text(t, "id"), front.Secret(service.Secret(a.text(t, "participant_secret")))}
	if got := a.Header.Get("Access-Control-Allow-Origin"); got != page {
		t.Errorf("the tutorial's page may not read the answer: %q", got)
	}
	if got := front.must(http.StatusOK, http.MethodGet, "/api-address", "", origin...).Body; got != service.HTTPS {
		t.Fatalf("the API address is %q, want %q", got, service.HTTPS)
	}
	preflight := service.do(http.MethodOptions, "/v1/meetings/"+meeting+"/join", "",
		"Origin", page, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type")
	if preflight.Status != http.StatusNoContent || preflight.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("the browser's preflight of the join: got status %d and %v", preflight.Status, preflight.Header)
	}
	joined := service.must(http.StatusOK, http.MethodPost, "/v1/meetings/"+meeting+"/join", p.joinBody(), append(origin, asJSON...)...)
	c := dialSeat(t, service, service.seat(p, joined))
	c.authenticate(t)
	if _, there := c.roster(t, 1)[p.Participant]; !there {
		t.Error("the participant is not on the roster")
	}
	return c
}

// wantCannot checks what the tutorial's server answers when VPaaS fails it.
func wantCannot(t *testing.T, front *Server, meeting string, headers ...string) {
	t.Helper()
	for path, want := range map[string]string{
		"/meetings":                              "Cannot create the meeting",
		"/meetings/" + meeting + "/participants": "Cannot get participants from the meeting",
	} {
		begun := time.Now()
		a := front.do(http.MethodPost, path, "", headers...)
		if a.Status != http.StatusInternalServerError || a.Body != want || a.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("POST %s: got status %d, type %q and %q", path, a.Status, a.Header.Get("Content-Type"), a.Body)
		}
		// Not a measurement: the time limit for calls to the service is 10 s, and
		// nothing here has to wait for it.
		if took := time.Since(begun); took > 9*time.Second {
			t.Errorf("POST %s took %v to fail", path, took)
		}
	}
}

// Claim 3.
func TestOneUsherIsTheTutorialsBackEndInFrontOfAnother(t *testing.T) {
	t.Parallel()
	service := start(t, options{})
	key := clientKey(t)
	clientID := service.register(key.Public)
	front := backEnd(t, service, clientID, key)

	first := browse(t, front, service, tutorialPage)
	meeting := first.seat.Room

	t.Run("calls at once share what they need", func(t *testing.T) {
		var wg sync.WaitGroup
		errs := make([]error, 40)
		for i := range errs {
			wg.Go(func() {
				a, err := send(front.Client, http.MethodPost, front.HTTPS+"/meetings", "")
				if err == nil && a.Status != http.StatusOK {
					err = fmt.Errorf("status %d: %s", a.Status, a.Body)
				}
				errs[i] = err
			})
		}
		wg.Wait()
		for i, err := range errs {
			if err != nil {
				t.Errorf("meeting %d: %v", i, err)
			}
		}
	})

	t.Run("nothing of a path reaches the service", func(t *testing.T) {
		for _, id := range []string{
			meeting + "%2Fparticipants%2F" + first.seat.Participant + "%2Fregenerate_secret%3F", meeting + "%3Fx", meeting + "%23", "..%2F..%2Foauth%2Ftoken", strings.ToUpper(meeting),
		} {
			if a := front.do(http.MethodPost, "/meetings/"+id+"/participants", ""); a.Status == http.StatusOK {
				t.Errorf("%s: got status %d", id, a.Status)
			}
		}
	})

	t.Run("the service was restarted", func(t *testing.T) {
		told := make(chan int, 1)
		go func() { told <- first.untilClosed() }()
		service.Stop()
		if code := <-told; code != 1012 {
			t.Errorf("the participant's socket was closed with %d, want 1012, after which the SDK comes back", code)
		}
		service.Restart()
		browse(t, front, service, tutorialPage)
	})

	t.Run("the key was rotated, which voids the token that the back end has", func(t *testing.T) {
		if r := runUsher(t, "client", "rotate", "--data", service.Data, clientID, "--public-key", key.Public); r.Status != 0 {
			t.Fatalf("usher client rotate: status %d\n%s", r.Status, r.Stderr)
		}
		browse(t, front, service, tutorialPage)
	})

	t.Run("the service is down", func(t *testing.T) {
		service.Stop()
		wantCannot(t, front, meeting)
		service.Restart()
		browse(t, front, service, tutorialPage)
	})

	t.Run("the client was revoked", func(t *testing.T) {
		if r := runUsher(t, "client", "revoke", "--data", service.Data, clientID); r.Status != 0 {
			t.Fatalf("usher client revoke: status %d\n%s", r.Status, r.Stderr)
		}
		wantCannot(t, front, meeting)
	})
}

// Claim 3: a back end whose credentials are not accepted serves nobody, and says so.
func TestABackEndWithAnotherKeyGetsNothing(t *testing.T) {
	t.Parallel()
	service := start(t, options{})
	front := backEnd(t, service, service.register(clientKey(t).Public), strangerKey(t))
	wantCannot(t, front, "aaaaaaaaaaaaaaaaaaaaaaaaaa")
}
