package e2e_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheSearchForSecretsFindsThem(t *testing.T) {
	t.Parallel()
	var s secrets
	s.add("0123456789abcdef")
	s.add("0123456789abXXXX") // begins as the other one
	s.add("short")
	for text, want := range map[string][]int{
		"":                                 nil,
		"nothing of interest, also short":  nil,
		"0123456789abcde":                  nil,
		"x 0123456789abcdef y":             {2},
		"0123456789abcdef0123456789abXXXX": {0, 16},
	} {
		if diff := cmp.Diff(want, s.find([]byte(text))); diff != "" {
			t.Errorf("%q: offsets (-want +got):\n%s", text, diff)
		}
	}
}

func TestTheTraceShowsAnswersThatPrecedeTheirSync(t *testing.T) {
	t.Parallel()
	const (
		write   = "1 pwrite64(8</d/usher.db-wal>, \"x\", 1, 0) = 1\n"
		sync    = "1 fdatasync(8</d/usher.db-wal>)     = 0\n"
		syncBad = "1 fdatasync(8</d/usher.db-wal>)     = -1 EIO (Input/output error)\n"
		begin   = "1 fdatasync(8</d/usher.db-wal> <unfinished ...>\n"
		end     = "1 <... fdatasync resumed>)            = 0\n"
		other   = "1 fdatasync(9</d/other>)            = 0\n"
		created = "2 write(9<TCP:[1]>, \"HTTP/1.1 201 Created\\r\\n\"..., 100) = 100\n"
		ok      = "2 write(9<TCP:[1]>, \"HTTP/1.1 200 OK\\r\\n\"..., 100) = 100\n"
	)
	for name, test := range map[string]struct {
		trace             string
		answers, unsynced int
	}{
		"one after its sync":                {write + sync + created, 1, 0},
		"one after a sync in two parts":     {write + begin + end + created, 1, 0},
		"each after its own":                {write + sync + created + write + sync + ok, 2, 0},
		"one while its sync goes on":        {write + begin + created + end, 1, 1},
		"one after a sync that failed":      {write + syncBad + created, 1, 1},
		"one after the sync of a file else": {write + other + created, 1, 1},
		"one without a write":               {sync + created, 1, 1},
		"a second one after the first's":    {write + sync + created + created, 2, 1},
		"only what was before the first":    {ok + ok, 0, 0},
	} {
		answers, unsynced := readTrace(test.trace)
		if answers != test.answers || len(unsynced) != test.unsynced {
			t.Errorf("%s: got %d answers, of which %d unsynced, want %d and %d", name, answers, len(unsynced), test.answers, test.unsynced)
		}
	}
}
