package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestOnLambdaTheBareCommandIsAFunction(t *testing.T) {
	for name, tt := range map[string]struct {
		args   []string
		status int
		want   []string // of what is said
	}{
		"without configuration": {nil, 1, []string{"store.sealKey", "issuers"}},
		"with a command":        {[]string{"version"}, 0, nil},
	} {
		t.Chdir(t.TempDir())
		var said bytes.Buffer
		status := run(t.Context(), tt.args, environment{Environ: []string{"AWS_LAMBDA_RUNTIME_API=127.0.0.1:1"}, Stdout: &bytes.Buffer{}, Stderr: &said})
		if status != tt.status {
			t.Errorf("%s: status %d, want %d: %s", name, status, tt.status, &said)
		}
		for _, want := range tt.want {
			if !strings.Contains(said.String(), want) {
				t.Errorf("%s: it says nothing of %s: %s", name, want, &said)
			}
		}
	}
}
