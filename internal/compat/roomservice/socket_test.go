package roomservice_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func (c *client) wantArgs(what, want string) {
	c.t.Helper()
	if got := c.args(); got != want {
		c.t.Errorf("%s: got %s, want %s", what, got, want)
	}
}

// The clock is the client's own: what it sent long after it loaded the room it
// did then, however long that took to arrive.
func TestWhatAClientHoldsIsAcknowledgedWithoutInsertingIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := w.ticket("ann", "hall")
	c := w.join(k)
	c.command("lcreate", "l")
	c.wantArgs("before it has loaded the room", `["lcreate","l"]`)
	c.command("lins", "l", "root", "0:w", "1")
	c.wantArgs("before it has loaded the room", `["lins","l","root","0:w","1"]`)
	for _, path := range []string{"/docs/" + k.doc, "/presence/" + k.room} {
		if status, body := w.get(path, k.token); status != http.StatusOK {
			t.Fatalf("GET %s: %d %s", path, status, body)
		}
	}
	c.clock += 100
	c.command("lins", "l", "root", "1:w", "1")
	c.wantArgs("what it did before that, and sends at once", `["lins","l","root","1:w","1"]`)
	c.clock += 10_000_000
	c.command("lins", "l", "root", "2:w", "1")
	c.wantArgs("what it did later", `["lput","l","2:w","1"]`)
	c.command("ldel", "l", "2:w")
	c.wantArgs("what it did later", `["lput","l","2:w",{"t":""}]`)
	other := w.join(w.ticket("bob", "hall"))
	c.command("lins", "l", "root", "3:w", "1")
	other.wantArgs("to others", `["lins","l","root","3:w","1"]`)
	c.command("ldel", "l", "3:w")
	other.wantArgs("to others", `["ldel","l","3:w"]`)
}

func TestAListThatIsThereIsToldToWhoMakesIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	early := w.join(w.ticket("ann", "hall"))
	late := w.join(w.ticket("bob", "hall"))
	early.command("lins", "l", "root", "0:w", `"one"`)
	early.command("lins", "l", "0:w", "1:w", `"two"`)
	early.command("ldel", "l", "0:w")
	late.wantArgs("news", `["lins","l","root","0:w","\"one\""]`)
	late.wantArgs("news", `["lins","l","0:w","1:w","\"two\""]`)
	late.wantArgs("news", `["ldel","l","0:w"]`)
	late.command("lcreate", "l")
	for _, want := range []string{
		`["lcreate","l"]`, `["lins","l","root","0:w","null"]`, `["ldel","l","0:w"]`, `["lins","l","0:w","1:w","\"two\""]`,
	} {
		late.wantArgs("the list", want)
	}
}

func TestAListThatIsTooLargeToBeToldIsToBeLoaded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	early := w.join(w.ticket("ann", "hall"))
	late := w.join(w.ticket("bob", "hall"))
	value := `"` + strings.Repeat("x", 60<<10) + `"`
	const items = 10
	for i := range items {
		early.command("lins", "l", "root", fmt.Sprintf("%d:w", i), value)
	}
	for range items {
		late.want("doc:fwd")
	}
	late.command("lcreate", "l")
	if code := late.closed(); code != 4005 {
		t.Errorf("the connection was closed with %d, want 4005", code)
	}
}

func (c *client) closed() websocket.StatusCode {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		if _, _, err := c.conn.Read(ctx); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

func TestAnIDThatIsUsedForTwoItemsLosesNeither(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, other := w.join(w.ticket("ann", "hall")), w.join(w.ticket("bob", "hall"))
	c.command("lins", "l", "root", "0:w", `1`)
	c.command("lins", "l", "0:w", "1:w", `2`)
	c.command("lins", "l", "root", "1:w", `3`)
	for _, want := range []string{`["lins","l","root","0:w","1"]`, `["lins","l","0:w","1:w","2"]`, `["lins","l","root","2:w","3"]`} {
		other.wantArgs("to others", want)
	}
	if code := c.closed(); code != 4005 {
		t.Errorf("the client's connection was closed with %d, want 4005", code)
	}
}

func TestPresenceIsReadInTheClientsUnits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := w.ticket("ann", "hall")
	c, other := w.join(k), w.join(w.ticket("bob", "hall"))
	expires := time.Now().Add(time.Hour).Unix()
	for key, value := range map[string]string{"object": `{"x":1}`, "text": `"text"`, "empty": `""`, "digits": `"123"`, "zero": `0`, "no": `false`} {
		c.send("presence:cmd", map[string]any{"room": k.room, "key": key, "value": value, "expAt": expires})
		var f struct {
			From, Key, Value string
			ExpAt            float64
		}
		if err := json.Unmarshal([]byte(other.want("presence:fwd")), &f); err != nil {
			t.Fatal(err)
		}
		if f.From != "ann" || f.Key != key || f.Value != value || int64(f.ExpAt) != expires {
			t.Errorf("the others see %+v", f)
		}
	}
	_, body := w.get("/presence/"+k.room, k.token)
	var all map[string]map[string]struct {
		ExpAt int64
		Value json.RawMessage
	}
	if err := json.Unmarshal([]byte(body), &all); err != nil {
		t.Fatal(err)
	}
	// What the client parses once more is text whose content is JSON.
	for key, want := range map[string]string{
		"object": `{"x":1}`, "text": `"\"text\""`, "empty": `""`, "digits": `"\"123\""`, "zero": `0`, "no": `false`,
	} {
		if got := all[key]["ann"]; string(got.Value) != want || got.ExpAt != expires*1000 {
			t.Errorf("%s: got %s until %d, want %s until %d", key, got.Value, got.ExpAt, want, expires*1000)
		}
	}
	_, body = w.get("/presence/"+k.room+"/zero", k.token)
	if !strings.HasPrefix(body, `{"ann":{`) {
		t.Errorf("one key is %s", body)
	}
}

// The client keeps who shows something under a key in an object of that name,
// which a page has already for some.
func TestNobodyShowsAnythingUnderANameThatEveryObjectHas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, other := w.join(w.ticket("ann", "hall")), w.join(w.ticket("bob", "hall"))
	expires := time.Now().Add(time.Hour).Unix()
	for _, key := range []string{"__proto__", "constructor", "fine"} {
		c.send("presence:cmd", map[string]any{"room": c.ticket.room, "key": key, "value": "1", "expAt": expires})
	}
	var f struct{ Key string }
	if err := json.Unmarshal([]byte(other.want("presence:fwd")), &f); err != nil || f.Key != "fine" {
		t.Errorf("the others see the key %q, error %v", f.Key, err)
	}
	if body := c.want("error"); !strings.Contains(body, `"name_reserved"`) {
		t.Errorf("the client is told %s", body)
	}
}
