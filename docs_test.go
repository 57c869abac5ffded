package usher_test

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEveryDirectDependencyHasItsReason(t *testing.T) {
	t.Parallel()
	var want []string
	for line := range strings.Lines(read(t, "go.mod")) {
		module, version, isModule := strings.Cut(strings.TrimSpace(line), " v")
		if isModule && strings.HasPrefix(line, "\t") && !strings.HasSuffix(strings.TrimSpace(version), "// indirect") {
			want = append(want, module)
		}
	}
	var npm struct{ Dependencies, DevDependencies map[string]string }
	if err := json.Unmarshal([]byte(read(t, "e2e/node/package.json")), &npm); err != nil {
		t.Fatal(err)
	}
	want = slices.AppendSeq(want, maps.Keys(npm.Dependencies))
	want = slices.AppendSeq(want, maps.Keys(npm.DevDependencies))

	var got []string
	for _, row := range regexp.MustCompile(`(?m)^\| (\S+) \| .+ \|$`).FindAllStringSubmatch(read(t, "docs/dependencies.md"), -1) {
		if row[1] != "module" && row[1] != "package" {
			got = append(got, row[1])
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/dependencies.md (-dependencies +rows):\n%s", diff)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
