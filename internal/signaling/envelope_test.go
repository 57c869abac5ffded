package signaling

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestAValueIsSkippedAsStrictlyAsAParserReadsIt(t *testing.T) {
	for _, text := range []string{
		`0`, `-0`, `01`, `1.`, `.5`, `1.5e+3`, `1e`, `-`, `+1`, `1.5E-7`, `true`, `tru`, `null`, `nul`, `falsey`,
		`""`, `"a`, `"\u12"`, `"\u12aF"`, `"\x"`, "\"\x1f\"", "\"\n\"", `"` + strings.Repeat("é", 20) + `"`, `"1234567\"89"`, `"1234567`,
		`[]`, `[1,]`, `[,1]`, `[1 2]`, `[ 1 , [ ] , { } ]`, `{}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{"a":1,"b":[{"c":null}]}`, `{a:1}`, `[}`, `{]`, `{"a":1]`, `[1}`,
		strings.Repeat("[", 62) + strings.Repeat("]", 62), "", " ", `1 `, "\ufeff1",
	} {
		data := []byte(`{"payload":` + text + `}`)
		s := scanner{data: data, pos: len(`{"payload":`)}
		s.space()
		ok := s.value()
		s.space()
		if got, want := ok && s.take('}') && s.pos == len(data), json.Valid(data); got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
	deep := `{"payload":` + strings.Repeat(`[`, maxDepth) + strings.Repeat(`]`, maxDepth) + `,"action":"x"}`
	var e envelope
	if err := e.parse([]byte(deep)); err != errNotObject {
		t.Errorf("a message that is too deep: %v", err)
	}
	deepest := `{"payload":` + strings.Repeat(`[`, maxDepth) + strings.Repeat(`]`, maxDepth) + `,"action":"x"}`
	deepest = strings.Replace(strings.Replace(deepest, "[", "", 1), "]", "", 1)
	if err := e.parse([]byte(deepest)); err != nil {
		t.Errorf("a message that is as deep as may be: %v", err)
	}
}

func TestTheEnvelopeIsRead(t *testing.T) {
	var e envelope
	err := e.parse([]byte(` { "action" : "sdp", "to":"a\u006en", "id":"7","toConnection":"h", "room":"r" ,"callId":"c-1.x:_","payload" : {"a": [1, 2]} , "x":1,"seq":3 } `))
	if err != nil {
		t.Fatal(err)
	}
	for what, got := range map[string]string{
		"sdp": string(e.action), "ann": string(e.to), "7": string(e.id), "h": string(e.toConnection), "r": string(e.room),
		"c-1.x:_": string(e.callID), `{"a": [1, 2]}`: string(e.payload), "3": string(e.seq),
	} {
		if got != what {
			t.Errorf("got %q, want %q", got, what)
		}
	}
	want := `,"action" : "sdp","room":"r" ,"callId":"c-1.x:_","payload" : {"a": [1, 2]} , "x":1`
	if got := string(e.appendRelayed(nil)); got != want {
		t.Errorf("relayed %s, want %s", got, want)
	}
}

func TestWhatTheServerSetsIsDropped(t *testing.T) {
	var e envelope
	err := e.parse([]byte(`{"from":{"to":"x"},"a":1,"fromConnection":"y","b":2,"ts":0,"fromParticipant":"p","c":3,"call":[],"seq":"z","ref":"r","userId":"u","id":"i","toConnection":"t","action":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(e.appendRelayed(nil)), `,"a":1,"b":2,"c":3,"action":"x"`; got != want {
		t.Errorf("relayed %s, want %s", got, want)
	}
}

func TestMessagesThatCouldBeReadInTwoWaysAreRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want error
	}{
		"nothing":                              {``, errNotObject},
		"no object":                            {`[1]`, errNotObject},
		"text":                                 {`"ping"`, errNotObject},
		"two objects":                          {`{"action":"x"}{"action":"y"}`, errNotObject},
		"a comma too many":                     {`{"action":"x",}`, errNotObject},
		"an empty object":                      {`{}`, errAction},
		"no action":                            {`{"to":"x"}`, errAction},
		"an empty action":                      {`{"action":""}`, errAction},
		"a long action":                        {`{"action":"` + strings.Repeat("x", 65) + `"}`, errAction},
		"an action twice":                      {`{"action":"x","action":"y"}`, errTwice},
		"an action in capitals, too":           {`{"action":"x","Action":"y"}`, errName},
		"a sender in capitals":                 {`{"action":"x","FROM":"y"}`, errName},
		"a sender with an escape":              {`{"action":"x","fr\u006fm":"y"}`, errName},
		"a letter that folds to another":       {`{"action":"x","t` + "\u017f" + `":"y"}`, errName},
		"two names for the receiver":           {`{"action":"x","to":"y","userId":"z"}`, errTwice},
		"a receiver that is a number":          {`{"action":"x","to":1}`, errType},
		"a receiver that is null":              {`{"action":"x","to":null}`, errType},
		"an empty receiver":                    {`{"action":"x","to":""}`, errTooLong},
		"an id that is a number":               {`{"action":"x","id":1}`, errType},
		"a long id":                            {`{"action":"x","id":"` + strings.Repeat("x", 65) + `"}`, errTooLong},
		"a call id with a quote":               {`{"action":"x","callId":"\""}`, errCallID},
		"a call id with a space":               {`{"action":"x","callId":"a b"}`, errCallID},
		"a second payload":                     {`{"action":"x","payload":1,"payload":2}`, errTwice},
		"half a payload":                       {`{"action":"x","payload":{"a":`, errNotObject},
		"a payload that closes too much":       {`{"action":"x","payload":{}},"from":"z"}`, errNotObject},
		"a byte order mark":                    {"\ufeff" + `{"action":"x"}`, errNotObject},
		"an envelope's member as long as many": {`{"action":"x","to":"` + strings.Repeat("x", 513) + `"}`, errTooLong},
	} {
		var e envelope
		if got := e.parse([]byte(tt.text)); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}

// FuzzEnvelope holds the scanner against encoding/json: what it accepts is an
// object with those values, and what it relays is valid and has nothing of what
// the server sets.
func FuzzEnvelope(f *testing.F) {
	f.Add([]byte(`{"action":"sdp","to":"ann","payload":{"a":[1,2,{"b":"\u00e9"}]},"x":1}`))
	f.Add([]byte(`{"a":1,"from":"x","action":"y","id":"\n","destination":"\\"}`))
	f.Add([]byte(` {"action" : "x" , "callId":"c" , "z" : [ ] } `))
	f.Fuzz(func(t *testing.T, data []byte) {
		var e envelope
		if err := e.parse(data); err != nil {
			return
		}
		var all map[string]json.RawMessage
		if err := json.Unmarshal(data, &all); err != nil {
			t.Fatalf("accepted %q: %v", data, err)
		}
		for name, got := range map[string][]byte{"action": e.action, "toConnection": e.toConnection, "room": e.room, "callId": e.callID, "id": e.id} {
			var want string
			if v, there := all[name]; there {
				if err := json.Unmarshal(v, &want); err != nil {
					t.Fatalf("%s of %q: %v", name, data, err)
				}
			}
			if string(got) != want && !strings.Contains(want, "\ufffd") {
				t.Errorf("%s of %q: got %q, want %q", name, data, got, want)
			}
		}
		if v := all["payload"]; string(v) != string(e.payload) {
			t.Errorf("payload of %q: got %s, want %s", data, e.payload, v)
		}
		var relayed map[string]json.RawMessage
		if err := json.Unmarshal(append(e.appendRelayed([]byte(`{"from":"me"`)), '}'), &relayed); err != nil {
			t.Fatalf("what is relayed of %q: %v", data, err)
		}
		var read struct{ From string }
		if err := json.Unmarshal(append(e.appendRelayed([]byte(`{"from":"me"`)), '}'), &read); err != nil || read.From != "me" {
			t.Errorf("what is relayed of %q is from %q (%v)", data, read.From, err)
		}
		for name, v := range all {
			switch fieldOf([]byte(name)) {
			case 0, fieldAction, fieldPayload, fieldCallID, fieldRoom:
				if string(relayed[name]) != string(v) {
					t.Errorf("%s of %q: relayed %s, want %s", name, data, relayed[name], v)
				}
			default:
				if _, there := relayed[name]; there && name != "from" {
					t.Errorf("%s of %q is relayed", name, data)
				}
			}
		}
	})
}

func BenchmarkEnvelope(b *testing.B) {
	data := []byte(`{"action":"sdp","to":"17b0de55","callId":"c1","payload":{"description":{"type":"offer","sdp":"` + strings.Repeat(`v=0\r\no=- 46117317 2 IN IP4 127.0.0.1\r\n`, 34) + `"}}}`)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		var e envelope
		if err := e.parse(data); err != nil {
			b.Fatal(err)
		}
	}
}
