package roomservice_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/access"
	"usher/internal/collab"
	"usher/internal/compat/roomservice"
)

const (
	roomID = usher.ID("fbkwbshfnii7dokb3uourcwp7e")
	doc    = "doc_" + string(roomID)
)

func TestCommandsAreReadAndWrittenAsTheClientDoes(t *testing.T) {
	item := collab.ItemID{Counter: 3, Writer: "Egq3mjQ9Q8w9xQzZl8994Q=="}
	other := collab.ItemID{Counter: 0, Writer: "Egq3mjQ9Q8w9xQzZl8994Q=="}
	const itemText, otherText = "3:Egq3mjQ9Q8w9xQzZl8994Q==", "0:Egq3mjQ9Q8w9xQzZl8994Q=="
	for name, tt := range map[string]struct {
		args []string
		want collab.Op
		// settled is how the command is acknowledged to a client that holds its effect.
		settled string
	}{
		"making a map":     {[]string{"mcreate", doc, "m"}, collab.Op{Kind: collab.CreateMap, Object: "m"}, ``},
		"setting a key":    {[]string{"mput", doc, "m", "k", `"v"`}, collab.Op{Kind: collab.PutKey, Object: "m", Key: "k", Value: `"v"`}, ``},
		"deleting a key":   {[]string{"mdel", doc, "m", "k"}, collab.Op{Kind: collab.DeleteKey, Object: "m", Key: "k"}, ``},
		"making a list":    {[]string{"lcreate", doc, "l"}, collab.Op{Kind: collab.CreateList, Object: "l"}, ``},
		"inserting first":  {[]string{"lins", doc, "l", "root", itemText, `1`}, collab.Op{Kind: collab.InsertItem, Object: "l", Item: item, Value: `1`}, `["lput","` + doc + `","l","` + itemText + `","1"]`},
		"inserting behind": {[]string{"lins", doc, "l", otherText, itemText, `1`}, collab.Op{Kind: collab.InsertItem, Object: "l", Item: item, After: other, Value: `1`}, `["lput","` + doc + `","l","` + itemText + `","1"]`},
		"setting an item":  {[]string{"lput", doc, "l", itemText, `1`}, collab.Op{Kind: collab.PutItem, Object: "l", Item: item, Value: `1`}, ``},
		"deleting an item": {[]string{"ldel", doc, "l", itemText}, collab.Op{Kind: collab.DeleteItem, Object: "l", Item: item}, `["lput","` + doc + `","l","` + itemText + `",{"t":""}]`},
	} {
		t.Run(name, func(t *testing.T) {
			got, bad := roomservice.ParseCommand(roomID, tt.args)
			if bad != nil {
				t.Fatal(bad)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("the op (-want +got):\n%s", diff)
			}
			written, err := json.Marshal(tt.args)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(roomservice.Arguments(roomID, got)); got != string(written) {
				t.Errorf("written as %s, want %s", got, written)
			}
			if tt.settled == "" {
				tt.settled = string(written)
			}
			if got := string(roomservice.SettledArguments(roomID, got)); got != tt.settled {
				t.Errorf("acknowledged as %s, want %s", got, tt.settled)
			}
		})
	}
}

// What every object in JavaScript has, the client takes for what it holds itself.
func TestNamesThatEveryObjectHasAreRefused(t *testing.T) {
	for _, args := range [][]string{
		{"mcreate", doc, "__proto__"}, {"lcreate", doc, "constructor"}, {"mput", doc, "toString", "k", "1"},
		{"lins", doc, "valueOf", "root", "0:w", "1"}, {"mput", doc, "m", "__proto__", "{}"}, {"mdel", doc, "m", "__proto__"},
	} {
		if _, bad := roomservice.ParseCommand(roomID, args); bad == nil || bad.Code != "name_reserved" {
			t.Errorf("%v: got %v, want it refused as reserved", args, bad)
		}
	}
	if _, bad := roomservice.ParseCommand(roomID, []string{"mput", doc, "words", "constructor", "1"}); bad != nil {
		t.Errorf("a key that is only hidden by its value: %v", bad)
	}
}

func TestABackEndsListMakesNoMap(t *testing.T) {
	got, err := roomservice.Changes(roomID, [][]string{
		{"mcreate", doc, "list"}, {"lins", doc, "list", "root", "0:w", "1"},
		{"mcreate", doc, "map"}, {"mput", doc, "map", "k", "1"},
		{"mcreate", doc, "both"}, {"mput", doc, "both", "k", "1"}, {"ldel", doc, "both", "0:w"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var kinds []collab.OpKind
	for _, op := range got {
		kinds = append(kinds, op.Kind)
	}
	want := []collab.OpKind{collab.CreateList, collab.InsertItem, collab.CreateMap, collab.PutKey, collab.CreateMap, collab.PutKey, collab.DeleteItem}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("the ops (-want +got):\n%s", diff)
	}
}

func TestACheckpointIsWhatTheClientLoads(t *testing.T) {
	a, b := "Egq3mjQ9Q8w9xQzZl8994Q==", "b"
	view := &collab.View{
		Stamp: 1003,
		Maps:  map[string]map[string]string{"settings": {"color": `"blue"`}},
		Lists: map[string][]collab.Item{"todos": {
			{ID: collab.ItemID{Counter: 2, Writer: a}, Value: `"zero"`},
			{ID: collab.ItemID{Counter: 0, Writer: a}, Value: `"ONE"`},
			{ID: collab.ItemID{Counter: 1, Writer: b}, After: collab.ItemID{Counter: 0, Writer: a}},
		}},
	}
	want := `{"id":"` + doc + `","index":1003,"api_version":0,"vs":"AAAAAAAAA+sAAQ==",` +
		`"lists":{"todos":{"ids":["2:0","0:0","1:1"],"afters":["root","root","0:0"],"values":["\"zero\"","\"ONE\"",{"t":""}]}},` +
		`"maps":{"settings":{"color":"\"blue\""},"root":{}},"actors":{"0":"` + a + `","1":"b"}}`
	if got := string(roomservice.Checkpoint(roomID, view)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	empty := roomservice.Checkpoint(roomID, &collab.View{})
	if !json.Valid(empty) {
		t.Errorf("an empty document is %s", empty)
	}
}

// A checkpoint's stamp is after its last op, which is not taken in twice, and
// before the next, which is.
func TestStampsGrow(t *testing.T) {
	if got := []string{roomservice.VersionStamp(1002, 0), roomservice.VersionStamp(1002, 1), roomservice.VersionStamp(1003, 0)}; got[0] >= got[1] || got[1] >= got[2] || len(got[0]) != 16 {
		t.Errorf("got %q, want them to grow", got)
	}
}

func TestResourcesAreReadInEveryShapeThereWas(t *testing.T) {
	reads := usher.Permissions{usher.Join, usher.Subscribe}
	writes := append(reads[:len(reads):len(reads)], usher.PublishData)
	for name, tt := range map[string]struct {
		body string
		want usher.Permissions
	}{
		"the room only":             {`[{"object":"room","reference":"r","permission":"join"}]`, writes},
		"room instead of reference": {`[{"object":"room","room":"r","permission":"join"}]`, writes},
		"the client's own":          {`[{"object":"document","reference":"default","permission":"read_write","room":"r"},{"object":"room","reference":"r","permission":"join"}]`, writes},
		"the client's whole body":   {`{"resources":[{"object":"document","reference":"default","permission":"read_write","room":"r"},{"object":"room","reference":"r","permission":"join"}]}`, writes},
		"the document only":         {`[{"object":"document","reference":"default","room":"r"}]`, writes},
		"more fields":               {`[{"object":"room","reference":"r","permission":"join","name":"R","x":{}}]`, writes},
		"reading only":              {`[{"object":"room","reference":"r","permission":"join"},{"object":"document","reference":"default","permission":"read","room":"r"}]`, reads},
	} {
		got, err := roomservice.Rooms([]byte(tt.body))
		if err != nil || len(got) != 1 || got[0].Ref != "r" {
			t.Errorf("%s: got %+v, error %v", name, got, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got[0].Permissions); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestACheckpointIsWrittenOnceForAll(t *testing.T) {
	view := &collab.View{Stamp: 1}
	first, second := roomservice.Checkpoint(roomID, view), roomservice.Checkpoint(roomID, view)
	if len(first) == 0 || &first[0] != &second[0] {
		t.Error("it was written anew")
	}
}

func TestNoMoreRoomsAreLookedThroughThanATokenCanBeFor(t *testing.T) {
	var list []string
	for i := range 50 {
		list = append(list, fmt.Sprintf(`{"object":"room","reference":"r%d"}`, i))
	}
	got, err := roomservice.Rooms([]byte(`[` + strings.Join(list, ",") + `]`))
	if err != nil || len(got) != access.MaxSessionRooms+1 {
		t.Errorf("got %d rooms, error %v; want as many as are refused: %d", len(got), err, access.MaxSessionRooms+1)
	}
}
