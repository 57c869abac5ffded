package main

import (
	"regexp"
	"strings"
	"testing"
)

func TestBenchesMeasureEveryCallAtEachNumberOfClients(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		rows []string
	}{
		"join": {[]string{"bench", "join", "--clients", "1,2", "--rounds", "1", "--time", "20ms", "--dir", t.TempDir()}, []string{
			`1 +\d+ +\S+s +\S+s +\d+ +\S+s +\S+s +\d+\.\d\d`, `2 +\d+ .*`,
		}},
		"decide": {[]string{"bench", "decide", "--clients", "1,2", "--rounds", "1", "--time", "20ms", "--dir", t.TempDir()}, []string{
			`1 +bare +\d+ +\S+s +\S+s +1\.00`, `1 +read a room, API key .*`, `1 +read a room, user's token .*`,
			`1 +enter a room, user's token, refused +\d+ +\S+s +\S+s +\d+\.\d\d`,
			`2 +bare .*`, `2 +read a room, API key .*`, `2 +read a room, user's token .*`, `2 +enter a room, user's token, refused .*`,
		}},
		"collab": {[]string{"bench", "collab", "--clients", "2,3", "--items", "5,10", "--rounds", "1", "--time", "200ms", "--dir", t.TempDir()}, []string{
			`2 +\d+ +\d+ +\S+s +\S+s`, `3 +\d+ +.*`, ``, `items .*`, `5 +\d+ +\d+ +\S+s +\S+s +\S+s +\S+s`, `10 +.*`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := command(t, test.args...)
			if status != 0 {
				t.Fatalf("status %d: %s", status, stderr)
			}
			want := regexp.MustCompile(`(?m)^ *clients .*\n *` + strings.Join(test.rows, `\n *`) + `\s*$`)
			if !want.MatchString(stdout) {
				t.Errorf("printed\n%s\nwant %s", stdout, want)
			}
		})
	}
}
