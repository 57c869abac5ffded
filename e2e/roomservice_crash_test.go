package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
)

// writer is a connection that changes a document as fast as it can, and keeps
// what was acknowledged.
type writer struct {
	*guest
	name string
	// made are the keys whose acknowledgement was read, and last the latest stamp.
	made []string
	last []byte
	err  error
}

// write sends changes, some ahead of their acknowledgements, until the server is
// gone.
func (w *writer) write(acknowledged func()) {
	go func() {
		for i := 0; w.command("mput", "m", fmt.Sprintf("%s-%d", w.name, i), `1`) == nil; i++ {
			continue // until the connection is closed, which the reader sees
		}
	}()
	for {
		f, err := w.read()
		if err != nil {
			return
		}
		var news forward
		if f.Type != "doc:fwd" || json.Unmarshal(f.Body, &news) != nil {
			continue
		}
		if bytes.Compare(news.VS, w.last) <= 0 {
			w.err = fmt.Errorf("the stamp %x follows %x", news.VS, w.last)
		}
		w.last = news.VS
		if news.Ack {
			var key string
			_ = json.Unmarshal(news.Args[3], &key)
			w.made = append(w.made, key)
			acknowledged()
		}
	}
}

func TestNoAcknowledgedChangeIsLostWhenTheServerIsKilled(t *testing.T) {
	t.Parallel()
	const rounds = 5
	s := start(t, options{Config: roomService + unlimited + "collab: {rate: 0}\n"})
	x := s.tenant()
	pages := startDriver(t, "clients.mjs", "E2E_SERVER="+s.HTTP)
	for _, name := range []string{"ann", "bob"} {
		pages.call("enter", map[string]string{"name": name, "key": x.key, "user": name, "room": "demo"}, nil)
	}
	run := func(name, body string, result any) {
		t.Helper()
		pages.call("run", map[string]any{"name": name, "body": body}, result)
	}
	p := x.provision("writer", "demo", "read_write")
	var all []string
	var last []byte
	for round := range rounds {
		// What a page changes before it has noticed that its server is gone is lost
		// with it, and no promise: first it says something until it is heard.
		heard := false
		for limit := within(t, time.Minute); !heard && limit.Err() == nil; {
			run("ann", fmt.Sprintf(`room.map('pages').set('here', %d)`, round), nil)
			run("bob", fmt.Sprintf(`await new Promise(done => setTimeout(done, 50)); return room.map('pages').get('here') === %d`, round), &heard)
		}
		acknowledged, reached := countdown(200 + rand.Int64N(1000))
		writers := make([]*writer, 3)
		var wg sync.WaitGroup
		for i := range writers {
			w := &writer{guest: s.enter(p), name: fmt.Sprintf("round-%d-writer-%d", round, i), last: last}
			writers[i] = w
			wg.Go(func() { w.write(acknowledged) })
		}
		run("ann", fmt.Sprintf(`room.list('rounds').push(%d); room.map('pages').set('round', %[1]d)`, round), nil)
		run("bob", fmt.Sprintf(`await until('the round', () => room.map('pages').get('round') === %d)`, round), nil)
		select {
		case <-reached:
		case <-within(t, time.Minute).Done():
			t.Fatalf("the server acknowledged too little\n%s", s.output.tail())
		}
		s.Kill()
		wg.Wait()
		wantSound(t, s)
		s.Restart()
		for _, w := range writers {
			if w.err != nil {
				t.Errorf("%s: %v", w.name, w.err)
			}
			all = append(all, w.made...)
			if bytes.Compare(w.last, last) > 0 {
				last = w.last
			}
		}
		got := s.document(p)
		if bytes.Compare(got.VS, last) <= 0 {
			t.Errorf("after round %d the stamp is %x, and was %x", round, got.VS, last)
		}
		lost := 0
		for _, key := range all {
			if got.Maps["m"][key] != "1" {
				lost++
			}
		}
		if lost > 0 {
			t.Fatalf("round %d: %d of %d acknowledged changes are lost", round, lost, len(all))
		}
	}
	t.Logf("%d changes were acknowledged in %d rounds", len(all), rounds)

	// The pages, which saw it all, come back by themselves and agree.
	run("ann", `await until('a connection', () => room.ws.currentConn); room.map('pages').set('last', 'ann')`, nil)
	// A page shows its own changes before it has read what it missed.
	var views [2]map[string]any
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for limit := within(t, time.Minute); ; {
		for i, name := range []string{"ann", "bob"} {
			views[i] = nil
			run(name, `await until('the last change', () => room.map('pages').get('last') === 'ann');
				return {pages: room.map('pages').toObject(), rounds: room.list('rounds').toArray(), keys: room.map('m').keys.sort()}`, &views[i])
		}
		diff := cmp.Diff(views[0], views[1])
		if diff == "" {
			break
		}
		select {
		case <-tick.C:
			continue
		case <-limit.Done():
			t.Fatalf("the pages differ (-ann +bob):\n%s", diff)
		}
	}
	if got := s.document(p).Maps["m"]; len(views[0]["keys"].([]any)) != len(got) {
		t.Errorf("the pages see %d keys, of %d", len(views[0]["keys"].([]any)), len(got))
	}
}

func TestATokenLastsAsLongAsAPageIsConnected(t *testing.T) {
	t.Parallel()
	const lifetime = 12 * time.Second
	s := start(t, options{Config: fmt.Sprintf("compat: {roomservice: {enabled: true, lifetime: %v}}\n", lifetime)})
	x := s.tenant()
	pages := startDriver(t, "clients.mjs", "E2E_SERVER="+s.HTTP)
	pages.call("enter", map[string]string{"name": "ann", "key": x.key, "user": "ann", "room": "demo"}, nil)
	var away pass
	idle := x.provision("idle", "demo", "read_write")
	began := time.Now()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for limit := within(t, time.Minute); ; {
		a := s.send(http.MethodGet, "/docs/"+idle.document(), "", "Bearer: "+idle.Token)
		if a.Status == http.StatusUnauthorized && time.Since(began) > lifetime {
			break
		}
		select {
		case <-tick.C:
		case <-limit.Done():
			t.Fatalf("a token of %v is good after %v: %d", lifetime, time.Since(began), a.Status)
		}
	}
	g := s.dialGuest()
	g.send("guest:authenticate", idle.Token)
	g.want("error")
	if code := g.closed(); code != 4001 {
		t.Errorf("an expired token's connection was closed with %d, want 4001", code)
	}
	args := map[string]any{"name": "late", "session": idle, "room": "demo"}
	if err := pages.try("enter", args, &away); err == nil || !strings.Contains(err.Error(), "JSON") {
		t.Errorf("the client enters with an expired token: error %v, want that the answer is no JSON", err)
	}
	// The page that stayed comes back after a drop.
	pages.call("drop", map[string]string{"name": "ann"}, nil)
	pages.call("run", map[string]any{"name": "ann", "body": `room.map('m').set('k', 1);
		await until('a connection', () => room.ws.currentConn && room.ws.docCmdSendQueue.length === 0)`}, nil)
	reader := x.provision("reader", "demo", "read")
	for limit := within(t, time.Minute); s.document(reader).Maps["m"]["k"] != "1"; {
		select {
		case <-tick.C:
		case <-limit.Done():
			t.Fatal("what the page did after the drop never arrived")
		}
	}
}

// openFiles is how many files and sockets the server has open.
func (s *Server) openFiles() int {
	s.t.Helper()
	m := regexp.MustCompile(`(?m)^process_open_fds (\d+)$`).FindSubmatch(s.metrics())
	if m == nil {
		s.t.Fatal("the metrics have no process_open_fds")
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func TestSocketsThatAreRefusedDoNotPileUp(t *testing.T) {
	t.Parallel()
	s := start(t, options{Config: roomService})
	x := s.tenant()
	p := x.provision("ann", "demo", "read_write")
	bystander := s.enter(p)
	before := s.openFiles()
	first := []map[string]any{
		{"type": "guest:authenticate", "body": "tok_forged"},
		{"type": "guest:authenticate", "body": 7},
		{"type": "guest:authenticate"},
		{"type": "room:join", "body": p.room()},
		{"type": "doc:cmd", "body": map[string]any{"room": p.room(), "args": []string{"mput", p.document(), "m", "k", "1"}}},
	}
	const sockets = 100
	err := atOnce(sockets, func(i int) error {
		g := s.dialGuest()
		data, err := json.Marshal(first[i%len(first)])
		if err != nil {
			return err
		}
		if err := g.conn.Write(within(t, socketTime), websocket.MessageText, data); err != nil {
			return err
		}
		if code := g.closed(); code != 4001 {
			return fmt.Errorf("%s: closed with %d, want 4001", data, code)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	limit := within(t, time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for n := s.openFiles(); n > before+sockets/10; n = s.openFiles() {
		select {
		case <-tick.C:
		case <-limit.Done():
			t.Fatalf("the server has %d files open, and had %d", n, before)
		}
	}
	if err := bystander.command("mput", "m", "k", "1"); err != nil {
		t.Fatal(err)
	}
	bystander.acknowledged()
}

func TestHostileFramesChangeNothing(t *testing.T) {
	t.Parallel()
	s := start(t, options{Config: roomService})
	x := s.tenant()
	p := x.provision("ann", "demo", "read_write")
	bystander := s.enter(x.provision("bob", "demo", "read_write"))
	room, doc := p.room(), p.document()
	command := func(args ...any) map[string]any {
		return map[string]any{"type": "doc:cmd", "body": map[string]any{"room": room, "args": args}}
	}
	deep := strings.Repeat("[", 100_000)
	for name, frame := range map[string]any{
		"no JSON":                        json.RawMessage(`"`),
		"no object":                      []int{1},
		"no type":                        map[string]any{"body": "x"},
		"a type that there is not":       map[string]any{"type": "presence:expire", "body": map[string]any{}},
		"a forged forward":               map[string]any{"type": "doc:fwd", "body": map[string]any{"room": room, "args": []string{"mput", doc, "m", "k", "1"}}},
		"a body that is a text":          map[string]any{"type": "doc:cmd", "body": "x"},
		"no arguments":                   command(),
		"arguments that are numbers":     command("mput", doc, "m", "k", 1),
		"too few arguments":              command("mput", doc, "m", "k"),
		"too many arguments":             command("mput", doc, "m", "k", "1", "2"),
		"a command that there is not":    command("mclear", doc, "m"),
		"a reference":                    command("mputref", doc, "m", "k", "list:todos"),
		"a value that is no JSON":        command("mput", doc, "m", "k", "{"),
		"a value that is deep":           command("mput", doc, "m", "k", deep),
		"a large value":                  command("mput", doc, "m", "k", `"`+strings.Repeat("x", 70_000)+`"`),
		"a map without a name":           command("mput", doc, "", "k", "1"),
		"a long name":                    command("mput", doc, strings.Repeat("m", 10_000), "k", "1"),
		"an item that is none":           command("lins", doc, "l", "root", "x", "1"),
		"an item that has no writer":     command("lins", doc, "l", "root", "1:", "1"),
		"an item that counts below zero": command("lins", doc, "l", "root", "-1:w", "1"),
		"an item that counts too high":   command("lins", doc, "l", "root", "9007199254740993:w", "1"),
		"an item that is the root":       command("lins", doc, "l", "root", "root", "1"),
		"an item behind itself":          command("lins", doc, "l", "1:w", "1:w", "1"),
		"an item behind one of nowhere":  command("lins", doc, "l", "7:nobody", "1:w", "1"),
		"a deletion of the root":         command("ldel", doc, "l", "root"),
		"presence without a value":       map[string]any{"type": "presence:cmd", "body": map[string]any{"room": room, "key": "k", "expAt": 1e12}},
		"presence without a time":        map[string]any{"type": "presence:cmd", "body": map[string]any{"room": room, "key": "k", "value": "1"}},
		"presence that is no JSON":       map[string]any{"type": "presence:cmd", "body": map[string]any{"room": room, "key": "k", "value": "{", "expAt": 1e12}},
		"presence as somebody else":      map[string]any{"type": "presence:fwd", "body": map[string]any{"from": "bob", "room": room, "key": "k", "value": "1", "expAt": 1e12}},
	} {
		t.Run(name, func(t *testing.T) {
			g := s.enter(p)
			data, err := json.Marshal(frame)
			if err != nil {
				data = []byte(`"`)
			}
			if err := g.conn.Write(within(t, socketTime), websocket.MessageText, data); err != nil {
				t.Fatal(err)
			}
			g.want("error")
			_ = g.conn.CloseNow()
		})
	}
	g := s.enter(p)
	if err := g.conn.Write(within(t, socketTime), websocket.MessageText, []byte(`{"type":"`+strings.Repeat("x", 2<<20)+`"}`)); err == nil {
		if code := g.closed(); code != 1009 && code != -1 {
			t.Errorf("a frame of 2 MiB was closed with %d, want 1009", code)
		}
	}
	if err := bystander.command("mput", "alive", "k", "1"); err != nil {
		t.Fatal(err)
	}
	bystander.acknowledged()
	got := s.document(x.provision("reader", "demo", "read"))
	if len(got.Maps["m"])+len(got.Lists) > 0 || got.Maps["alive"]["k"] != "1" {
		t.Errorf("the document has %v and %v", got.Maps, got.Lists)
	}
}

func TestHostileBodiesAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t, options{Config: roomService})
	x := s.tenant()
	for name, test := range map[string]struct {
		body string
		want int
	}{
		"empty":                        {``, 400},
		"no JSON":                      {`user=ann`, 400},
		"no object":                    {`[]`, 400},
		"no user":                      {`{"resources":[{"object":"room","reference":"r","permission":"join"}]}`, 400},
		"a user that is a number":      {`{"user":7,"resources":[{"object":"room","reference":"r","permission":"join"}]}`, 400},
		"a user that can't be printed": {`{"user":"a\u0000b","resources":[{"object":"room","reference":"r","permission":"join"}]}`, 400},
		"a user that every object has": {`{"user":"__proto__","resources":[{"object":"room","reference":"r","permission":"join"}]}`, 400},
		"a long user":                  {`{"user":"` + strings.Repeat("x", 300) + `","resources":[{"object":"room","reference":"r","permission":"join"}]}`, 400},
		"no resources":                 {`{"user":"ann"}`, 400},
		"resources that are a text":    {`{"user":"ann","resources":"r"}`, 400},
		"a room without a name":        {`{"user":"ann","resources":[{"object":"room","permission":"join"}]}`, 400},
		"a long name":                  {`{"user":"ann","resources":[{"object":"room","reference":"` + strings.Repeat("r", 200) + `","permission":"join"}]}`, 400},
		"a name in dots":               {`{"user":"ann","resources":[{"object":"room","reference":"..","permission":"join"}]}`, 400},
		"too many rooms":               {`{"user":"ann","resources":[` + strings.TrimSuffix(strings.Repeat(`{"object":"room","reference":"%d","permission":"join"},`, 50), ",") + `]}`, 400},
		"another document":             {`{"user":"ann","resources":[{"object":"document","reference":"other","room":"r","permission":"read_write"}]}`, 400},
		"a large body":                 {`{"user":"` + strings.Repeat("x", 9<<20) + `"}`, 413},
	} {
		body := test.body
		for i := 0; strings.Contains(body, "%d"); i++ {
			body = strings.Replace(body, "%d", "room-"+strconv.Itoa(i), 1)
		}
		a := s.send(http.MethodPost, "/provision", body, "Bearer "+x.key)
		if a.Status != test.want || !json.Valid([]byte(a.Body)) || strings.Contains(a.Body, "tok_") {
			t.Errorf("%s: got %d, want %d: %.300s", name, a.Status, test.want, a.Body)
		}
	}
	for name, key := range map[string]string{"no key": "", "a wrong key": "Bearer usher_x_y", "a key of another kind": "Basic " + x.key, "a key without its scope": "Bearer " + s.unscoped()} {
		a := s.send(http.MethodPost, "/provision", `{"user":"ann","resources":[{"object":"room","reference":"r","permission":"join"}]}`, key)
		if a.Status != http.StatusUnauthorized && a.Status != http.StatusForbidden {
			t.Errorf("%s: got %d: %s", name, a.Status, a.Body)
		}
		if a.Status == http.StatusUnauthorized && a.JSON(t)["body"] != "Unauthorized" {
			t.Errorf("%s: the client does not know this for a wrong key: %s", name, a.Body)
		}
	}
}

// unscoped is a key that may do what is usual, and not provision.
func (s *Server) unscoped() string {
	s.t.Helper()
	_, key := s.apiKey(nil)
	return key.Reveal()
}
