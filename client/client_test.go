package client_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/client"
)

// serve returns an API of a server that answers with h.
func serve(t *testing.T, h http.HandlerFunc) *client.API {
	t.Helper()
	ts := httptest.NewServer(h)
	t.Cleanup(ts.Close)
	a, err := client.New(ts.URL, client.Options{Token: "t0ken", Transport: ts.Client().Transport})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAddressesThatAreRefused(t *testing.T) {
	for _, address := range []string{"", "usher.example", "ftp://usher.example", "https://", "https://user:password@usher.example", "https://usher.example?x=1", "https://usher.example#x", "http://[::1"} {
		if _, err := client.New(address, client.Options{}); err == nil {
			t.Errorf("%q was accepted", address)
		}
	}
}

func TestRequestsAsTheyAreSent(t *testing.T) {
	var got string
	a := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = fmt.Sprintf("%s %s %s", r.Method, r.RequestURI, body)
		for _, name := range []string{"Authorization", "Content-Type", "Idempotency-Key", "If-Match", "Usher-Act-As"} {
			if v := r.Header.Get(name); v != "" {
				got += fmt.Sprintf(" %s=%s", name, v)
			}
		}
		_, _ = io.WriteString(w, "{}")
	})
	seats := 2
	opens := time.Date(2026, 11, 20, 9, 0, 0, 123_456_789, time.FixedZone("", 3600))
	tests := []struct {
		name string
		call func() error
		want string
	}{
		{"an ephemeral room", func() error { _, err := a.CreateRoom(t.Context(), client.CreateRoomRequest{}); return err },
			`POST /api/v1/rooms {} Authorization=Bearer t0ken Content-Type=application/json`},
		{"a room with everything", func() error {
			_, err := a.CreateRoom(t.Context(), client.CreateRoomRequest{Name: "n", Seats: &seats, OpensAt: client.Time{Time: opens}}, client.IdempotencyKey("k"))
			return err
		}, `POST /api/v1/rooms {"name":"n","seats":2,"opens_at":"2026-11-20T08:00:00.123456Z"} Authorization=Bearer t0ken Content-Type=application/json Idempotency-Key=k`},
		{"a change", func() error {
			_, err := a.ChangeRoom(t.Context(), "n", client.ChangeRoomRequest{ClosesAt: client.ChangeTime(time.Time{})}, client.IfVersion(7))
			return err
		}, `PATCH /api/v1/rooms/n {"closes_at":null} Authorization=Bearer t0ken Content-Type=application/json If-Match="7"`},
		{"a name like a path", func() error { _, err := a.Room(t.Context(), "../a?b#c%d"); return err },
			`GET /api/v1/rooms/..%2Fa%3Fb%23c%25d  Authorization=Bearer t0ken`},
		{"a name of dots", func() error { _, err := a.Room(t.Context(), ".."); return err },
			`GET /api/v1/rooms/%2E%2E  Authorization=Bearer t0ken`},
		{"an id like a path", func() error { _, err := a.Participant(t.Context(), "n", "../x"); return err },
			`GET /api/v1/rooms/n/participants/..%2Fx  Authorization=Bearer t0ken`},
		{"a claim", func() error { _, err := a.Claim(t.Context(), "r", "p", "s3cret"); return err },
			`POST /api/v1/rooms/r/participants/p/claim {"secret":"s3cret"} Authorization=Bearer t0ken Content-Type=application/json`},
		{"a credential", func() error {
			_, err := a.Issue(t.Context(), "n", client.CredentialRequest{Platform: "agora/x", Subject: "7", TTL: 60})
			return err
		}, `POST /api/v1/rooms/n/credentials {"platform":"agora/x","subject":"7","ttl":60} Authorization=Bearer t0ken Content-Type=application/json`},
		{"an inspection", func() error {
			_, err := a.Inspect(t.Context(), client.InspectRequest{Token: "s3cret", Room: "n"})
			return err
		}, `POST /api/v1/credentials/inspect {"room":"n","token":"s3cret"} Authorization=Bearer t0ken Content-Type=application/json`},
		{"ICE servers for a subject", func() error { _, err := a.ICEServers(t.Context(), client.ActFor("user:i#s")); return err },
			`GET /api/v1/ice-servers  Authorization=Bearer t0ken Usher-Act-As=user:i#s`},
		{"a renewal", func() error { _, err := a.RenewSecret(t.Context(), "r", "p"); return err },
			`POST /api/v1/rooms/r/participants/p/secret  Authorization=Bearer t0ken`},
		{"a client without scopes of its own", func() error {
			_, err := a.AddClient(t.Context(), client.AddClientRequest{Name: "n", PublicKey: "k"})
			return err
		}, `POST /api/v1/clients {"name":"n","public_key":"k"} Authorization=Bearer t0ken Content-Type=application/json`},
		{"a client with no scope", func() error {
			_, err := a.AddClient(t.Context(), client.AddClientRequest{Name: "n", PublicKey: "k", Scopes: usher.Scopes{}})
			return err
		}, `POST /api/v1/clients {"name":"n","public_key":"k","scopes":[]} Authorization=Bearer t0ken Content-Type=application/json`},
		{"a client with an API key only", func() error {
			_, err := a.AddClient(t.Context(), client.AddClientRequest{Name: "n", APIKey: true})
			return err
		}, `POST /api/v1/clients {"name":"n","api_key":true} Authorization=Bearer t0ken Content-Type=application/json`},
		{"for a subject", func() error { _, err := a.Me(t.Context(), client.ActFor("user:i#s")); return err },
			`GET /api/v1/me  Authorization=Bearer t0ken Usher-Act-As=user:i#s`},
		{"the end of a membership", func() error { return a.DeleteMember(t.Context(), "n", "user:https://id.example/a?b#c") },
			`DELETE /api/v1/rooms/n/members/user:https:%2F%2Fid.example%2Fa%3Fb%23c  Authorization=Bearer t0ken`},
		{"the end of a ban by whom it keeps out", func() error {
			return a.UnbanIdentity(t.Context(), "n", client.UnbanRequest{Identity: "user:i#s"})
		}, `DELETE /api/v1/rooms/n/bans {"identity":"user:i#s"} Authorization=Bearer t0ken Content-Type=application/json`},
		{"a redemption", func() error {
			_, err := a.Redeem(t.Context(), client.RedeemRequest{Code: "s3cret", Name: "Dora"})
			return err
		}, `POST /api/v1/invites/redeem {"code":"s3cret","name":"Dora"} Authorization=Bearer t0ken Content-Type=application/json`},
		{"a part of the record", func() error {
			_, err := a.EventPage(t.Context(), client.EventQuery{Type: usher.Decided, Who: "user:i#s", PageQuery: client.PageQuery{Cursor: "1.2"}})
			return err
		}, `GET /api/v1/events?cursor=1.2&type=decided&who=user%3Ai%23s  Authorization=Bearer t0ken`},
		{"a page", func() error {
			_, err := a.RoomPage(t.Context(), client.RoomQuery{Status: usher.RoomReady, PageQuery: client.PageQuery{Limit: 3, Cursor: "c"}})
			return err
		}, `GET /api/v1/rooms?cursor=c&limit=3&status=ready  Authorization=Bearer t0ken`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.call(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	tests := []struct {
		name, media, body string
		status            int
		header            map[string]string
		want              client.Error
		text              string
	}{
		{"a problem", "application/problem+json",
			`{"type":"about:blank","title":"Bad Request","status":400,"code":"room_invalid","detail":"No.","request_id":"r","fields":[{"field":"seats","message":"is wrong"}]}`, 400, nil,
			client.Error{Problem: client.Problem{Type: "about:blank", Title: "Bad Request", Status: 400, Code: "room_invalid", Detail: "No.", RequestID: "r",
				Fields: []usher.FieldProblem{{Field: "seats", Message: "is wrong"}}}},
			"room_invalid: No. (seats: is wrong)"},
		{"a problem to try again", "application/problem+json; charset=utf-8", `{"status":503,"code":"room_full","detail":"Full."}`, 503, map[string]string{"Retry-After": "7"},
			client.Error{Problem: client.Problem{Title: "Service Unavailable", Status: 503, Code: "room_full", Detail: "Full."}, RetryAfter: 7 * time.Second},
			"room_full: Full."},
		{"a refusal that is on record", "application/problem+json", `{"status":403,"code":"not_member","detail":"No.","decision":"d"}`, 403, nil,
			client.Error{Problem: client.Problem{Title: "Forbidden", Status: 403, Code: "not_member", Detail: "No.", Decision: "d"}},
			"not_member: No. (decision d)"},
		{"a page of a proxy", "text/html", "<h1>Bad Gateway</h1>", 502, nil,
			client.Error{Problem: client.Problem{Title: "Bad Gateway", Status: 502, Code: "http_502", Detail: "The answer was 502 Bad Gateway, not in the form of an Usher."}},
			"http_502: The answer was 502 Bad Gateway, not in the form of an Usher."},
		{"a redirect", "text/html", "", 307, map[string]string{"Location": "/elsewhere"},
			client.Error{Problem: client.Problem{Title: "Temporary Redirect", Status: 307, Code: "http_307", Detail: "The answer was 307 Temporary Redirect, not in the form of an Usher."}},
			"http_307: The answer was 307 Temporary Redirect, not in the form of an Usher."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			calls := 0
			a := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				calls++
				w.Header().Set("Content-Type", tt.media)
				for name, value := range tt.header {
					w.Header().Set(name, value)
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			_, err := a.CreateRoom(t.Context(), client.CreateRoomRequest{})
			got, ok := err.(*client.Error)
			if !ok {
				t.Fatalf("got %v, want a *client.Error", err)
			}
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Error(diff)
			}
			if got.Error() != tt.text {
				t.Errorf("got %q, want %q", got.Error(), tt.text)
			}
			if calls != 1 {
				t.Errorf("got %d requests, want 1", calls)
			}
		})
	}
}

func TestAnswersThatCanNotBeUnderstood(t *testing.T) {
	for name, body := range map[string]string{
		"a page": "<html>", "nothing": "", "too much": `{"name":"` + strings.Repeat("x", 9<<20) + `"}`,
	} {
		a := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		if _, err := a.Room(t.Context(), "n"); err == nil {
			t.Errorf("%s was taken for a room", name)
		}
	}
}

func TestNothingIsExpectedOfAnAnswerWithoutContent(t *testing.T) {
	a := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	if err := a.Unban(t.Context(), "n", "b"); err != nil {
		t.Error(err)
	}
}

func TestAWalkEndsWithAnError(t *testing.T) {
	a := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("cursor") == "two" {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, `{"rooms":[{"id":"a"},{"id":"b"}],"next_cursor":"two"}`)
	})
	var ids []usher.ID
	var errs []error
	for r, err := range a.Rooms(t.Context(), client.RoomQuery{}) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ids = append(ids, r.ID)
	}
	if diff := cmp.Diff([]usher.ID{"a", "b"}, ids); diff != "" || len(errs) != 1 {
		t.Errorf("got errors %v and rooms:\n%s", errs, diff)
	}
}

func TestSecretsAreNotWrittenBack(t *testing.T) {
	for _, v := range []any{client.Invited{Secret: "s3cret"}, client.Claimed{Token: "s3cret"}, client.ClaimRequest{Secret: "s3cret"},
		client.CreatedInvite{Code: "s3cret"}, client.RedeemRequest{Code: "s3cret"}, client.Redeemed{Token: "s3cret"}, client.KeyedClient{APIKey: "s3cret"}, client.Options{Token: "s3cret"}} {
		data, err := json.Marshal(v)
		if text := fmt.Sprintf("%s %v %+v %#v %v", data, v, v, v, err); strings.Contains(text, "s3cret") {
			t.Errorf("%T shows its secret: %s", v, text)
		}
	}
}

func FuzzTime(f *testing.F) {
	for _, seed := range []string{`"2026-11-20T08:30:00.123456Z"`, `"2026-11-20T08:30:00+14:00"`, `null`, `""`, `5`, `"9999-12-31T23:59:59-23:59"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var first, second client.Time
		if json.Unmarshal(data, &first) != nil || first.IsZero() {
			return
		}
		written, err := json.Marshal(first)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(written, &second); err != nil {
			t.Fatalf("%s became %s, which can't be read: %v", data, written, err)
		}
		if !second.Equal(first.Truncate(time.Microsecond)) {
			t.Errorf("%s became %s", data, written)
		}
	})
}
