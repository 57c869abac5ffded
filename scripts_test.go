package usher_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What a bare machine lacks is said and not guessed from what fails later. No
// program is there that could install anything.
func TestTestDepsSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	bare := []string{"bash", "dirname", "id", "cmp"}
	for name, test := range map[string]struct {
		node string // a program that is Node.js, with npm beside it
		want []string
	}{
		"on a bare machine": {"", []string{
			"missing: git strace curl openssl janus chromium gcc libc6-dev coturn openssh-client. Install them",
			"missing: Go 1.26 or later",
			"missing: Node.js 20.19 or later with npm",
		}},
		"with an old Node.js": {"#!/bin/sh\n[ \"$1\" = --version ] && echo v18.20.4\nexit 0\n", []string{
			"missing: git ",
			"Node.js is v18.20.4, and the tests with the real npm clients need 20.19 or later",
		}},
	} {
		path := t.TempDir()
		for _, program := range bare {
			from, err := exec.LookPath(program)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(from, filepath.Join(path, program)); err != nil {
				t.Fatal(err)
			}
		}
		if test.node != "" {
			for _, program := range []string{"node", "npm"} {
				if err := os.WriteFile(filepath.Join(path, program), []byte(test.node), 0o700); err != nil {
					t.Fatal(err)
				}
			}
		}
		cmd := exec.CommandContext(t.Context(), filepath.Join(path, "bash"), "scripts/test-deps")
		cmd.Env = []string{"PATH=" + path}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range test.want {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s: got %q, want %q in it", name, out, want)
			}
		}
	}
}

// Where there is no Node.js, or one that is too old, the binary is built all the
// same: whoever builds is told what it lacks, and what is there stays as it is.
func TestTheBuildGoesOnWithoutNode(t *testing.T) {
	t.Parallel()
	for name, node := range map[string]string{
		"none":        "",
		"an old one":  "#!/bin/sh\nexit 1\n",
		"npm refuses": "#!/bin/sh\n[ \"$1\" != ci ]\n",
	} {
		dir, path := t.TempDir(), t.TempDir()
		for _, program := range []string{"bash", "dirname", "cmp"} {
			from, err := exec.LookPath(program)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(from, filepath.Join(path, program)); err != nil {
				t.Fatal(err)
			}
		}
		script, err := os.ReadFile("scripts/build-web")
		if err != nil {
			t.Fatal(err)
		}
		write := func(file, text string, mode os.FileMode) {
			t.Helper()
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), mode); err != nil {
				t.Fatal(err)
			}
		}
		write(filepath.Join(dir, "scripts", "build-web"), string(script), 0o700)
		write(filepath.Join(dir, "web", "dist", ".gitignore"), "*", 0o600)
		if node != "" {
			write(filepath.Join(path, "node"), node, 0o700)
			write(filepath.Join(path, "npm"), node, 0o700)
		}
		cmd := exec.CommandContext(t.Context(), filepath.Join(path, "bash"), filepath.Join(dir, "scripts", "build-web"))
		cmd.Env = []string{"PATH=" + path}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "this build is without the page to call from") {
			t.Errorf("%s: %v: %s", name, err, out)
		}
		if files, err := filepath.Glob(filepath.Join(dir, "web", "dist", "*")); err != nil || len(files) != 1 {
			t.Errorf("%s: web/dist has %q, %v", name, files, err)
		}
	}
}
