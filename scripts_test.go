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

// The compiler is one that writes down what it was to make.
func TestAReleaseIsCompleteOrNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for path, text := range map[string]string{
		"scripts/release": read(t, "scripts/release"),
		"go":              "#!/bin/sh\n[ \"$1\" = run ] && echo '{}' && exit\nwhile [ \"$1\" != -o ]; do shift; done\necho $CGO_ENABLED $GOOS $GOARCH >\"$2\"\n",
		"old/index.html":  "",
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	release := func(environ ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "bash", filepath.Join(dir, "scripts/release"))
		cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "GO=" + filepath.Join(dir, "go")}, environ...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := release("VERSION=v1.0.0"); err == nil || !strings.Contains(out, "the page is not built") {
		t.Errorf("without the page: got %v, %q", err, out)
	}
	if err := os.Mkdir(filepath.Join(dir, "web"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "old"), filepath.Join(dir, "web/dist")); err != nil {
		t.Fatal(err)
	}
	if out, err := release(); err == nil || !strings.Contains(out, "which version") {
		t.Errorf("without a version: got %v, %q", err, out)
	}
	if out, err := release("VERSION=v1.0.0"); err != nil || !strings.Contains(out, "not signed") {
		t.Errorf("got %v, %q, want that it is not signed", err, out)
	}
	sums := read(t, filepath.Join(dir, "dist/SHA256SUMS"))
	for _, system := range []string{"linux", "darwin"} {
		for _, arch := range []string{"amd64", "arm64"} {
			name := "usher-v1.0.0-" + system + "-" + arch
			if got, want := read(t, filepath.Join(dir, "dist", name)), "0 "+system+" "+arch+"\n"; got != want {
				t.Errorf("%s was built for %q, want %q", name, got, want)
			}
			if !strings.Contains(sums, "  "+name+"\n") || !strings.Contains(sums, "  "+name+".cdx.json\n") {
				t.Errorf("%s or its SBOM is not in %q", name, sums)
			}
		}
	}
}
