package signaling_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestTheExamplesOfTheDocumentationAreInTheSchema(t *testing.T) {
	text, err := os.ReadFile("../../docs/signaling.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, block := range regexp.MustCompile("(?s)```json (client|server)\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		side := block[1]
		var body any
		if err := json.Unmarshal([]byte(block[2]), &body); err != nil {
			t.Errorf("%s: %v", block[2], err)
			continue
		}
		if err := compile(t, side).Validate(body); err != nil {
			t.Errorf("%s sends %s: %v", side, block[2], err)
		}
		seen[side]++
	}
	if seen["client"] < 10 || seen["server"] < 10 {
		t.Errorf("there are %v examples", seen)
	}
}

func TestTheSchemaKnowsWhatIsWrong(t *testing.T) {
	client, server := compile(t, "client"), compile(t, "server")
	for text, of := range map[string]interface{ Validate(any) error }{
		`{"action":"sdp","to":"a","userId":"b","from":"c"}`: server,
		`{"action":"sdp"}`:                               client,
		`{"action":"call.nothing","callId":"c"}`:         client,
		`{"action":"call.invite","to":"a","userId":"b"}`: client,
		`{"action":"call.accept","callId":"a b"}`:        client,
		`{"action":"room.join","payload":{"room":"x","participant":"aaaaaaaaaaaaaaaaaaaaaaaaaa"}}`: client,
		`{"action":"presence","payload":{"status":"busy"}}`:                                        client,
		`{"action":"hello","payload":{}}`:                                                          server,
		`{"action":"error","payload":{"code":"Not Stable","message":"x"}}`:                         server,
		`{"action":"call.invite","ts":1,"callId":"c"}`:                                             server,
		`{"action":"sdp","from":"a","fromConnection":"b"}`:                                         server,
		`{"action":"presence","payload":{"userId":"a","status":"gone","online":false}}`:            server,
		`{"action":"room.left","room":"aaaaaaaaaaaaaaaaaaaaaaaaaa","payload":{"reason":"bored"}}`:  server,
	} {
		var body any
		if err := json.NewDecoder(strings.NewReader(text)).Decode(&body); err != nil {
			t.Fatal(err)
		}
		if of.Validate(body) == nil {
			t.Errorf("%s is in the schema", text)
		}
	}
}
