package usher_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// floors is the layout: a package imports only from lower floors. The first
// pattern that matches a package's path counts.
var floors = []struct {
	pattern string
	floor   int
}{
	{"usher", 0},
	{"usher/client", 1},
	{"usher/internal/platform/*test", 2},
	{"usher/internal/platform/*", 2},
	{"usher/internal/store/*", 2},
	{"usher/internal/platform", 1},
	{"usher/internal/store", 1},
	{"usher/internal/limit", 1},
	{"usher/internal/recent", 1},
	{"usher/internal/sigv4", 1},
	{"usher/internal/socket", 1},
	{"usher/internal/socket/sockettest", 1},
	{"usher/internal/bus", 1},
	{"usher/internal/policy", 1},
	{"usher/internal/certs", 1},
	{"usher/internal/certs/certstest", 1},
	{"usher/internal/figures", 1},
	{"usher/internal/health", 1},
	{"usher/internal/backup", 1},
	{"usher/internal/datadir", 1},
	{"usher/internal/egress", 1},
	{"usher/internal/keys", 2},
	{"usher/internal/room", 2},
	{"usher/internal/contact", 2},
	{"usher/internal/call", 2},
	{"usher/internal/turn", 2},
	{"usher/internal/identity", 3},
	{"usher/internal/access", 4},
	{"usher/internal/httpd", 4},
	{"usher/internal/signaling", 5},
	{"usher/internal/collab", 5},
	{"usher/internal/webhook", 5},
	{"usher/internal/api", 6},
	{"usher/internal/compat/*", 6},
	{"usher/internal/config", 6},
	{"usher/internal/config/*", 7}, // generators
	{"usher/web", 6},
	{"usher/cmd/*", 7},
	{"usher/scripts/*", 7},
	{"usher/e2e", 8},
	{"usher/e2e/*", 8},
}

// forbidden are imports that the floors would allow, each with the reason.
var forbidden = []struct{ importer, imported, reason string }{
	{"usher/internal/api", "usher/internal/room", "access is the one door"},
	{"usher/internal/api", "usher/internal/policy", "access is the one door"},
	{"usher/internal/api", "usher/internal/platform*", "access is the one door"},
	{"usher/internal/api", "usher/internal/contact", "access is the one door"},
	{"usher/internal/compat/*", "usher/internal/contact", "access is the one door"},
	{"usher/internal/signaling", "usher/internal/room", "access is the one door"},
	{"usher/internal/signaling", "usher/internal/policy", "access is the one door"},
	{"usher/internal/signaling", "usher/internal/contact", "access is the one door"},
	{"usher/internal/compat/*", "usher/internal/room", "access is the one door"},
	{"usher/internal/compat/*", "usher/internal/policy", "access is the one door"},
	{"usher/internal/compat/*", "usher/internal/platform*", "access is the one door"},
	{"usher/internal/collab", "usher/internal/room", "access is the one door"},
	{"usher/internal/collab", "usher/internal/policy", "access is the one door"},
	{"usher/internal/collab", "usher/internal/platform*", "access is the one door"},
	{"usher/internal/collab", "net/http", "collab has no wire format"},
	{"usher/internal/*", "usher/internal/store/*", "only the command chooses a store"},
	{"usher/internal/*/*", "usher/internal/store/*", "only the command chooses a store"},
	{"usher/internal/*", "github.com/aws/*", "only the store on DynamoDB and the command know AWS"},
	{"usher/internal/*", "usher/client", "the server does not call itself over its own client; api shares its wire types"},
	{"usher/internal/policy", "usher/internal/store", "policy is pure"},
	{"usher/internal/policy", "net/http", "policy is pure"},
	{"usher/internal/room", "net/http", "a room knows nothing of transports"},
	{"usher/internal/api", "usher/internal/call", "access is the one door"},
	{"usher/internal/compat/*", "usher/internal/call", "access is the one door"},
	{"usher/internal/call", "net/http", "a call knows nothing of transports"},
	{"usher/internal/access", "net/http", "access knows nothing of transports"},
	{"usher", "net/http", "the vocabulary knows nothing of transports"},
	{"usher/internal/*", "github.com/gobwas/ws*", "only package socket knows the framing library"},
	{"usher/internal/*/*", "github.com/gobwas/ws*", "only package socket knows the framing library"},
}

// allowed are the exceptions to forbidden.
var allowed = []struct{ importer, imported string }{
	{"usher/internal/socket", "github.com/gobwas/ws*"},
	{"usher/internal/api", "usher/client"},
}

type goPackage struct {
	ImportPath string
	Imports    []string
	Error      *struct{ Err string }
}

func TestImportsGoDownwards(t *testing.T) {
	for _, p := range listPackages(t) {
		from, ok := floorOf(p.ImportPath)
		if !ok {
			t.Errorf("%s stands on no floor: give it one in this test and in the design", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if imported != "usher" && !strings.HasPrefix(imported, "usher/") {
				continue
			}
			to, ok := floorOf(imported)
			if ok && to >= from {
				t.Errorf("%s (floor %d) imports %s (floor %d): imports go to lower floors only", p.ImportPath, from, imported, to)
			}
		}
	}
}

func TestForbiddenImports(t *testing.T) {
	for _, p := range listPackages(t) {
		for _, imported := range p.Imports {
			for _, rule := range forbidden {
				if match(rule.importer, p.ImportPath) && match(rule.imported, imported) && !excepted(p.ImportPath, imported) {
					t.Errorf("%s imports %s: %s", p.ImportPath, imported, rule.reason)
				}
			}
		}
	}
}

func TestRootImportsOnlyTheStandardLibrary(t *testing.T) {
	for _, p := range listPackages(t) {
		if p.ImportPath != "usher" {
			continue
		}
		for _, imported := range p.Imports {
			if strings.Contains(strings.Split(imported, "/")[0], ".") || strings.HasPrefix(imported, "usher/") {
				t.Errorf("package usher imports %s", imported)
			}
		}
	}
}

func floorOf(importPath string) (int, bool) {
	for _, f := range floors {
		if match(f.pattern, importPath) {
			return f.floor, true
		}
	}
	return 0, false
}

func excepted(importer, imported string) bool {
	return slices.ContainsFunc(allowed, func(a struct{ importer, imported string }) bool {
		return match(a.importer, importer) && match(a.imported, imported)
	})
}

func match(pattern, importPath string) bool {
	ok, err := path.Match(pattern, importPath)
	if err != nil {
		panic(err)
	}
	return ok
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Error", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		if p.Error != nil {
			t.Fatalf("go list: %s", p.Error.Err)
		}
		packages = append(packages, p)
	}
}
