package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheAPIIsCalledFromTheShell(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	if status, _, stderr := command(t, "client", "add", "--data", data, "--name", "a", "--api-key"); status != 0 {
		t.Fatal(stderr)
	}
	tests := []struct {
		name   string
		args   []string
		stdin  string
		status int
		stdout string // within it
		stderr string // within it
	}{
		{"what is read is indented", []string{"GET", "/api/v1/me"}, "", 0, "{\n  \"kind\": \"local\"", ""},
		{"what is no JSON is as it is", []string{"GET", "/metrics"}, "", 0, "\nusher_attachments 0\n", ""},
		{"with a body", []string{"POST", "/api/v1/rooms", `{"name":"standup"}`}, "", 0, `"name": "standup"`, ""},
		{"with a body from standard input", []string{"POST", "/api/v1/rooms", "-"}, `{"name":"retro"}`, 0, `"name": "retro"`, ""},
		{"with a query", []string{"GET", "/api/v1/rooms?limit=1"}, "", 0, `"next_cursor": "`, ""},
		{"what is escaped in a path", []string{"GET", "/api/v1/users/{user:https://id.example/a b#1&2+3}"}, "", 1, "", "user_not_found"},
		{"what is escaped in a query", []string{"GET", "/api/v1/users?email={a+b@example.org}&limit=1"}, "", 0, `"users": []`, ""},
		{"a ban that is not there", []string{"DELETE", "/api/v1/rooms/standup/bans", `{"identity":"user:https://id.example#1"}`}, "", 1, "", "not_found"},
		{"what is not there", []string{"GET", "/api/v1/rooms/none"}, "", 1, "", "usher: room_not_found: "},
		{"no path", []string{"GET", "api/v1/me"}, "", 1, "", "by its path"},
		{"no JSON", []string{"POST", "/api/v1/rooms", "name=standup"}, "", 1, "", "not JSON"},
		{"no method", []string{"FETCH", "/api/v1/me"}, "", 2, "", "GET"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			args := append([]string{"api", "--data", data}, test.args...)
			status := run(t.Context(), args, environment{Stdin: strings.NewReader(test.stdin), Stdout: &out, Stderr: &errs})
			if status != test.status || !strings.Contains(out.String(), test.stdout) || !strings.Contains(errs.String(), test.stderr) {
				t.Errorf("got status %d, %q and %q", status, &out, &errs)
			}
		})
	}
}

func TestTheEnvironmentSaysWhereTheDataIs(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	if status, _, stderr := command(t, "client", "add", "--data", data, "--name", "a", "--api-key"); status != 0 {
		t.Fatal(stderr)
	}
	var out, errs bytes.Buffer
	env := environment{Environ: []string{"USHER_DATA=" + data}, Stdout: &out, Stderr: &errs}
	if status := run(t.Context(), []string{"client", "list"}, env); status != 0 || !strings.Contains(out.String(), " a ") {
		t.Errorf("got status %d, %q and %q", status, &out, &errs)
	}
	if status := run(t.Context(), []string{"client", "list", "--data", data + "-other"}, env); status != 1 {
		t.Errorf("what the command line says does not come first: %q", &out)
	}
}
