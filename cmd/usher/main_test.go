package main

import (
	"strings"
	"testing"
)

func TestHelpIsThereHoweverItIsAskedFor(t *testing.T) {
	for line, want := range map[string]string{
		"":                   "Usage: usher <command> [flags]\n",
		"--help":             "Usage: usher <command> [flags]\n",
		"help":               "Usage: usher <command> [flags]\n",
		"help token issue":   "Usage: usher token issue --platform=NAME --room=ROOM [flags]\n",
		"token issue --help": "Usage: usher token issue --platform=NAME --room=ROOM [flags]\n",
	} {
		if status, out, stderr := command(t, strings.Fields(line)...); status != 0 || !strings.HasPrefix(out, want) {
			t.Errorf("usher %s: got status %d, printed %q and %q", line, status, out, stderr)
		}
	}
}
