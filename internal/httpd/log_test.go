package httpd_test

import (
	"net/http"
	"strings"
	"testing"

	"usher"
	"usher/internal/httpd"
)

// A line for every request says who asked for what, and nothing that could be a
// secret: not what stands in a path, a query, a header or a body.
func TestRequestsAreLoggedWithoutWhatTheyCarry(t *testing.T) {
	served := dialect(
		httpd.Route{Pattern: "POST /rooms/{room}", Caller: httpd.Known, Scope: usher.MeetingRead, Handle: whoami},
		httpd.Route{Pattern: "GET /refused/{room}", Caller: httpd.Known, Scope: usher.MeetingRead, Handle: func(http.ResponseWriter, *http.Request) error {
			return usher.Errorf(usher.Conflict, "taken", "It is taken.")
		}},
	)
	for _, requests := range []bool{false, true} {
		a := newAdapter(t, func(c *httpd.Config) { c.LogRequests = requests }, served)
		const canary = "canary-7261"
		a.ask("POST", "/rooms/"+canary+"?token="+canary, `{"secret":"`+canary+`"}`, "Authorization", "Bearer client", "Cookie", canary, "User-Agent", canary)
		a.ask("GET", "/refused/"+canary, "", "Authorization", "Bearer client")
		a.ask("GET", "/nowhere/"+canary, "")
		log := a.log.String()
		if strings.Contains(log, canary) {
			t.Errorf("the log has what a request carried:\n%s", log)
		}
		lines := strings.Split(strings.TrimSpace(log), "\n")
		if len(lines) != 3 {
			t.Fatalf("there are %d lines:\n%s", len(lines), log)
		}
		for i, want := range []string{
			`route="POST /rooms/{room}" status=200`, `route="GET /refused/{room}" status=409`, `route="- unrouted" status=404`,
		} {
			level := map[bool]string{false: "level=DEBUG", true: "level=INFO"}[requests]
			if !strings.Contains(lines[i], want) || !strings.Contains(lines[i], level) {
				t.Errorf("got %s, want %s and %s", lines[i], level, want)
			}
			if who := strings.Contains(lines[i], " address=192.0.2.1 "); who != requests {
				t.Errorf("got %s, want an address: %v", lines[i], requests)
			}
		}
		if requests && (!strings.Contains(lines[0], "who=client:client") || !strings.Contains(lines[1], "code=taken") || strings.Contains(lines[0], "bytes=0")) {
			t.Errorf("got\n%s", log)
		}
	}
}
