package roomservice_test

import (
	"encoding/json"
	"testing"

	"usher/internal/compat/roomservice"
)

// What is read as a command is written again as it was.
func FuzzCommand(f *testing.F) {
	for _, args := range [][]string{
		{"mcreate", doc, "m"}, {"mput", doc, "m", "k", "1"}, {"mdel", doc, "m", "k"}, {"lcreate", doc, "l"},
		{"lins", doc, "l", "root", "0:w", "1"}, {"lins", doc, "l", "0:w", "1:w", "1"}, {"lput", doc, "l", "0:w", "1"}, {"ldel", doc, "l", "0:w"},
		{"mputref", doc, "m", "k", "list:l"}, {"lins", doc, "l", "root", "01:w", "1"}, {"lins", doc, "l", "root", "1:", "1"}, nil,
	} {
		data, err := json.Marshal(args)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var args []string
		if json.Unmarshal(data, &args) != nil {
			return
		}
		op, bad := roomservice.ParseCommand(roomID, args)
		if bad != nil {
			return
		}
		want, err := json.Marshal(args)
		if err != nil {
			t.Fatal(err)
		}
		if got := roomservice.Arguments(roomID, op); string(got) != string(want) {
			t.Errorf("%s is written as %s", want, got)
		}
		if settled := roomservice.SettledArguments(roomID, op); !json.Valid(settled) {
			t.Errorf("%s is acknowledged as %s", want, settled)
		}
	})
}

func FuzzEnvelope(f *testing.F) {
	for _, text := range []string{
		`{"type":"guest:authenticate","ts":"1795215464267:0","ver":0,"body":"tok_X"}`,
		`{"type":"doc:cmd","ts":"1:1","ver":0,"body":{"room":"room_x","args":["mput","doc_x","m","k","1"]}}`,
		`{"type":"presence:cmd","ts":"x","body":{"room":"room_x","key":"k","value":"1","expAt":1795215525.5}}`,
		`{"type":7}`, `[]`, `null`, `{"type":"doc:cmd","body":null}`, `{"type":"presence:cmd","body":{"expAt":1e999}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(_ *testing.T, data []byte) { _ = roomservice.ParseMessage(data) })
}

// Resources that are read name rooms that can be made.
func FuzzResources(f *testing.F) {
	for _, text := range []string{
		`[{"object":"room","reference":"r","permission":"join"}]`, `{"resources":[{"object":"room","room":"r"}]}`,
		`[{"object":"document","reference":"default","permission":"read","room":"r"}]`, `{}`, `[]`, `[null]`, `"r"`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		rooms, err := roomservice.Rooms(data)
		if err == nil && len(rooms) == 0 {
			t.Error("no rooms, and no error")
		}
		for _, r := range rooms {
			if r.Ref == "" || len(r.Permissions) < 2 {
				t.Errorf("got the room %+v", r)
			}
		}
	})
}
