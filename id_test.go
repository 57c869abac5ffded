package usher_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"regexp"
	"sync"
	"testing"
	"time"

	"usher"
)

// The ids that Pexip's documentation shows, with the created_at beside them.
var pexipIDs = []struct {
	id      string
	created string
}{
	{"mzcmlqfurei65dh2cimd3aag5q", "2024-01-16T16:07:51.436"}, // a meeting
	{"qnol2zvurei65axj5zspbecjne", "2024-01-16T16:08:40.247"}, // a participant, 404 ms before its record
}

func TestIDCarriesItsTime(t *testing.T) {
	for _, example := range pexipIDs {
		id, err := usher.ParseID(example.id)
		if err != nil {
			t.Fatalf("ParseID(%q): %v", example.id, err)
		}
		if got := id.Time().Format("2006-01-02T15:04:05.000"); got != example.created {
			t.Errorf("%s was made at %s, want %s", id, got, example.created)
		}
	}
}

func TestNewIDHasTheFormAndTimeOfItsMaking(t *testing.T) {
	now := time.Date(2026, 2, 3, 4, 5, 6, 789_012_300, time.UTC)
	ids, err := usher.NewIDSource(func() time.Time { return now }, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := ids.New()
	if !regexp.MustCompile(`^[a-z2-7]{26}$`).MatchString(string(id)) {
		t.Errorf("New() = %q, want 26 characters of base32", id)
	}
	if got, want := id.Time(), now.Truncate(time.Microsecond); !got.Equal(want) {
		t.Errorf("Time() = %v, want %v", got, want)
	}
	if parsed, err := usher.ParseID(string(id)); err != nil || parsed != id {
		t.Errorf("ParseID(%q) = %q, %v", id, parsed, err)
	}
}

func TestIDsGrowAndDifferWhenTheClockStepsBack(t *testing.T) {
	var mu sync.Mutex
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ids, err := usher.NewIDSource(func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(-time.Second)
		return now
	}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	last := ids.New()
	seen := map[usher.ID]bool{last: true}
	for range 10_000 {
		id := ids.New()
		if seen[id] {
			t.Fatalf("%s was made twice", id)
		}
		if id.Time().Before(last.Time()) {
			t.Fatalf("%s is older than %s, which was made before it", id, last)
		}
		seen[id], last = true, id
	}
}

func TestIDSourceFailsWithoutRandomness(t *testing.T) {
	if _, err := usher.NewIDSource(time.Now, bytes.NewReader(nil)); err == nil {
		t.Error("NewIDSource made a source without randomness")
	}
}

func TestParseIDRefusesWhatIsNoID(t *testing.T) {
	for name, s := range map[string]string{
		"empty":                     "",
		"too short":                 "mzcmlqfurei65dh2cimd3aag5",
		"too long":                  "mzcmlqfurei65dh2cimd3aag5qa",
		"upper case":                "MZCMLQFUREI65DH2CIMD3AAG5Q",
		"not in the alphabet":       "mzcmlqfurei65dh2cimd3aag10",
		"a UUID":                    "6644c5c0-b489-11ee-8cfa-1218",
		"a path":                    "../../../../../../evil/abcd",
		"a line break":              "mzcmlqfurei65dh2cimd3aag5\n",
		"unused bits set":           "mzcmlqfurei65dh2cimd3aag5r",
		"padding":                   "mzcmlqfurei65dh2cimd3aa===",
		"multi-byte of that length": "mzcmlqfurei65dh2cimd3aagß",
	} {
		if id, err := usher.ParseID(s); !errors.Is(err, usher.ErrMalformedID) {
			t.Errorf("%s: ParseID(%q) = %q, %v; want ErrMalformedID", name, s, id, err)
		}
	}
}

func FuzzParseID(f *testing.F) {
	for _, example := range pexipIDs {
		f.Add(example.id)
	}
	f.Add("../../../../../../evil/abc")
	f.Add("mzcmlqfurei65dh2cimd3aag5r")
	form := regexp.MustCompile(`^[a-z2-7]{26}$`)
	f.Fuzz(func(t *testing.T, s string) {
		id, err := usher.ParseID(s)
		if err == nil && (!form.MatchString(s) || string(id) != s) {
			t.Errorf("ParseID(%q) = %q", s, id)
		}
		_ = usher.ID(s).Time() // must not panic on anything
	})
}
