package e2e_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"usher"
	"usher/client"
)

// What is secret appears in no log, metric, answer, file or column, wherever it
// was sent and whatever went wrong. The log is that of the level debug, and is
// searched, as are metrics and files, when the server ends.
func TestSecretsAppearNowhere(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A badly made app: its errors repeat what it was sent.
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = fmt.Fprintln(w, "cannot read", r.Header.Get("Cookie"))
	}))
	t.Cleanup(app.Close)
	s := start(t, options{Config: trusting(i.entry()) + unlimited + fmt.Sprintf(
		"session: {url: %s}\nserver: {origins: [%s]}\ncompat: {videochat: {enabled: true}, meetings: {enabled: true, access: session}, roomservice: {enabled: true, access: session}}\noperators: ['%s']\n",
		app.URL, ownPage, i.user("boss"))})
	c := &canaries{s: s, spelled: &secrets{}}
	boss, ann := i.token("boss"), i.token("ann")
	s.Secret(boss.Reveal())

	// What is genuine: everything that the server gives away or is given.
	_, hostKey := s.apiKey(nil)
	host := s.as(hostKey)
	const roomName = "a-name-that-is-no-secret"
	room := s.must(http.StatusCreated, http.MethodPost, "/api/v1/rooms", `{"name":"`+roomName+`","admission":"open"}`,
		append(bearer(hostKey.Reveal()), asJSON...)...).text(t, "id")
	h := s.hold("ann", ann, room, host)
	invite, err := host.CreateInvite(within(t, time.Minute), room, client.CreateInviteRequest{})
	if err != nil {
		t.Fatal(err)
	}
	s.Secret(invite.Code.Reveal())
	redeemed, err := s.as("").Redeem(within(t, time.Minute), client.RedeemRequest{Code: invite.Code, Name: "Guest"})
	if err != nil {
		t.Fatal(err)
	}
	s.Secret(redeemed.Token.Reveal())
	if _, err := s.newBackEnd().token(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{h.key, i.user("bob")} {
		if _, err := host.Ban(within(t, time.Minute), room, client.BanRequest{Identity: name, Reason: "enough"}); err != nil {
			t.Fatal(err)
		}
	}

	// What is not: in every place of every request.
	fill := strings.NewReplacer("{room}", room, "{participant}", h.unclaimed.Participant, "{member}", url.PathEscape(h.key),
		"{invite}", string(invite.ID), "{ban}", room, "{client}", room, "{decision}", room, "{kid}", room)
	var routes [][2]string
	for _, r := range append(s.routes(), foreignRoutes()...) {
		if r != [2]string{"DELETE", "/api/v1/rooms/{room}"} { // which would end the rest
			routes = append(routes, r)
		}
	}
	c.sweep(t, routes, fill, map[string]usher.Secret{"nobody": "", "a user": i.token("carl"), "a guest": redeemed.Token, "an operator": boss})
	c.sockets(t, room, h)
	c.signals(t, room, i.token("dora"), i.token("ben"))

	t.Run("what is told of it afterwards", func(t *testing.T) {
		for _, path := range []string{
			"/api/v1/rooms", "/api/v1/rooms/" + room, "/api/v1/rooms/" + room + "/participants", "/api/v1/rooms/" + room + "/members",
			"/api/v1/rooms/" + room + "/invites", "/api/v1/rooms/" + room + "/bans", "/api/v1/clients", "/api/v1/keys", "/api/v1/revocations", "/metrics",
		} {
			a := s.must(http.StatusOK, http.MethodGet, path, "", bearer(boss.Reveal())...)
			s.secrets.search(t, path, []byte(a.Body))
		}
		events, cursor := 0, ""
		for more := true; more; {
			page, err := s.as(boss).EventPage(within(t, time.Minute), client.EventQuery{PageQuery: client.PageQuery{Cursor: cursor, Limit: 200}})
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(page)
			if err != nil {
				t.Fatal(err)
			}
			s.secrets.search(t, "the record", text)
			events, cursor, more = events+len(page.Events), page.NextCursor, page.More || len(page.Events) == 200
		}
		if events < 10 {
			t.Errorf("the record has only %d events", events)
		}
	})

	s.Stop()
	if logged := bytes.Count(s.output.Bytes(), []byte("msg=request")); logged < int(c.n.Load())/2 {
		t.Errorf("the log tells of %d requests of more than %d: it is not the one to search", logged, c.n.Load())
	}
	text := dump(t, s)
	t.Logf("figure: %d requests; %d bytes of log and %d of columns were searched", c.n.Load(), len(s.output.Bytes()), len(text))
	if !bytes.Contains(text, []byte(roomName)) || !bytes.Contains(text, []byte("room.enter")) {
		t.Error("the columns lack what must be there: they are not the ones to search")
	}
	s.secrets.search(t, "a column", text)
}

// dump returns every value of every column of the server's database, which a
// search of its pages would miss where one goes over several.
func dump(t *testing.T, s *Server) []byte {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.Data, "usher.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var tables []string
	rows, err := db.QueryContext(t.Context(), "SELECT name FROM sqlite_schema WHERE type = 'table'")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, name)
	}
	if err := rows.Err(); err != nil || len(tables) < 8 {
		t.Fatalf("the database has the tables %q, error %v", tables, err)
	}
	var text bytes.Buffer
	for _, table := range tables {
		dumpTable(t, db, table, &text)
	}
	return text.Bytes()
}

func dumpTable(t *testing.T, db *sql.DB, table string, text *bytes.Buffer) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT * FROM "`+table+`"`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	values, into := make([]sql.RawBytes, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			text.Write(v)
			text.WriteByte('\n')
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// What a platform behind the server answers when it fails stays there.
func TestSecretsOfAPlatformThatFailsAppearNowhere(t *testing.T) {
	t.Parallel()
	var c canaries
	var answers atomic.Int64
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		secret := c.sing()
		if r.URL.Path == "/oauth/token" {
			_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600,"scope":%q}`, secret, allScopes)
			return
		}
		switch answers.Add(1) % 5 {
		case 0:
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = fmt.Fprintf(w, `{"status":500,"reason":"%s"}`, secret)
		case 1:
			_, _ = fmt.Fprintf(w, `{"id":"x","participant_secret":"%s`, secret)
		case 2:
			_, _ = fmt.Fprintf(w, "<html>%s", secret)
		case 3:
			w.Header().Set("Location", "https://elsewhere.example/"+secret)
			w.WriteHeader(http.StatusFound)
		case 4:
			w.WriteHeader(http.StatusForbidden)
			_, _ = fmt.Fprintf(w, `{"status":403,"reason":"%s"}`, r.Header.Get("Authorization")+secret)
		}
	}))
	t.Cleanup(service.Close)
	s := start(t, options{Config: unlimited + fmt.Sprintf(
		"vpaas: {apiAddress: %s, credentials: {clientId: euopeke6qei65m5prjcvnqv2lq, privateKeyPath: %s}}\ncompat: {meetings: {enabled: true, access: public, role: speaker}}\n",
		service.URL, clientKey(t).Private)})
	c.s, c.spelled = s, &secrets{}
	for range 10 {
		for _, path := range []string{"/meetings", "/meetings/aaaaaaaaaaaaaaaaaaaaaaaaaa/participants"} {
			a := s.do(http.MethodPost, path, "")
			if a.Status < 400 {
				t.Errorf("POST %s: got status %d: %s", path, a.Status, a.Body)
			}
			c.spelled.search(t, path, []byte(a.Body))
		}
	}
	if c.n.Load() < 20 {
		t.Errorf("the service was asked only %d times", c.n.Load())
	}
}
