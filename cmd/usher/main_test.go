package main

import (
	"context"
	"io"
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

// It is no failure to do as one is told.
func TestAServerThatIsToldToStopBeforeItIsReadyDoes(t *testing.T) {
	told, stop := context.WithCancel(t.Context())
	stop()
	var errs strings.Builder
	status := run(told, []string{"serve", "--dev", "--data", t.TempDir(), "--http", "127.0.0.1:0", "--https", ""}, environment{Stdout: io.Discard, Stderr: &errs})
	if status != 0 || !strings.Contains(errs.String(), "told to stop before it was ready") {
		t.Errorf("it ended with the status %d, and said\n%s", status, &errs)
	}
}

func TestTheHelpSaysWhatToBeginWith(t *testing.T) {
	_, out, _ := command(t, "--help")
	for _, want := range []string{"\n    usher serve --dev   try it", "\n    usher init          set it up"} {
		if !strings.Contains(out, want) {
			t.Errorf("got %q, want %q on a line of its own", out, want)
		}
	}
}

// What is printed can be typed.
func TestWhoIsNotUnderstoodIsToldWhereTheHelpIs(t *testing.T) {
	for line, want := range map[string]string{
		"nothing":                 "Run 'usher --help' for what it takes.",
		"client nothing":          "Run 'usher client --help' for what it takes.",
		"explain":                 "Run 'usher explain --help' for what it takes.",
		"backup":                  "Run 'usher backup --help' for what it takes.",
		"api get /api/v1/me":      "Run 'usher api --help' for what it takes.",
		"webhook replay a --to 1": "Run 'usher webhook replay --help' for what it takes.",
	} {
		if status, _, stderr := command(t, strings.Fields(line)...); status != 2 || !strings.Contains(stderr, want) {
			t.Errorf("usher %s: got status %d and %q; want %q", line, status, stderr, want)
		}
	}
}
