package usher_test

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
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
	for _, file := range []string{"e2e/node/package.json", "sdk/js/package.json", "web/package.json"} {
		var npm struct{ Dependencies, DevDependencies map[string]string }
		if err := json.Unmarshal([]byte(read(t, file)), &npm); err != nil {
			t.Fatal(err)
		}
		want = slices.AppendSeq(want, maps.Keys(npm.Dependencies))
		want = slices.AppendSeq(want, maps.Keys(npm.DevDependencies))
	}

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

func TestEveryMetricIsDocumented(t *testing.T) {
	t.Parallel()
	doc, n := read(t, "docs/monitoring.md"), 0
	err := filepath.WalkDir("internal", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, m := range regexp.MustCompile(`Name:\s+"(usher_\w+)"`).FindAllStringSubmatch(read(t, path), -1) {
			if n++; !regexp.MustCompile("`" + m[1] + "[`{]").MatchString(doc) {
				t.Errorf("docs/monitoring.md does not have %s of %s", m[1], path)
			}
		}
		return nil
	})
	if err != nil || n == 0 {
		t.Errorf("%d metrics: %v", n, err)
	}
}

// A promise is worth as much as the test that shows it, so each has one, and it
// is there.
func TestEveryPromiseHasItsTest(t *testing.T) {
	t.Parallel()
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	_, table, _ := strings.Cut(read(t, "docs/security.md"), "## Promises")
	table, _, _ = strings.Cut(table, "\n## ")
	n := 0
	for _, row := range regexp.MustCompile(`(?m)^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$`).FindAllStringSubmatch(table, -1) {
		if row[1] == "promise" {
			continue
		}
		n++
		for where := range strings.SplitSeq(row[3], "; ") {
			folder, tests, ok := strings.Cut(where, ": ")
			if !ok {
				t.Errorf("%s: %q names no test", row[1], where)
				continue
			}
			files, err := filepath.Glob(filepath.Join(strings.Trim(folder, "`"), "*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			there := map[string]bool{}
			for _, file := range files {
				for _, m := range declared.FindAllStringSubmatch(read(t, file), -1) {
					there[m[1]] = true
				}
			}
			for test := range strings.SplitSeq(tests, ", ") {
				if !there[strings.Trim(test, "`")] {
					t.Errorf("%s: %s has no test %s", row[1], folder, test)
				}
			}
		}
	}
	// Each group has a table of its own.
	if rows := strings.Count(table, "\n| ") - strings.Count(table, "\n| promise |"); n == 0 || n != rows {
		t.Errorf("%d of %d rows name their tests", n, rows)
	}
}

// What the recipes for incidents name is there: every alert has one, and what
// they quote of logs, answers and the configuration is what is said there.
func TestTheRecipesNameWhatThereIs(t *testing.T) {
	t.Parallel()
	page, alerts := read(t, "docs/incidents.md"), read(t, "deploy/monitoring/alerts.yaml")
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("`(Usher[A-Z]\\w+)`").FindAllStringSubmatch(page, -1) {
		named[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(alerts, -1) {
		if !named[m[1]] {
			t.Errorf("there is no recipe for the alert %s", m[1])
		}
		delete(named, m[1])
	}
	for name := range named {
		t.Errorf("there is no alert %s", name)
	}

	var code strings.Builder
	for _, path := range sources(t, "*.go") {
		if !strings.HasSuffix(path, "_test.go") {
			code.WriteString(read(t, path))
		}
	}
	// What SQLite and the network say, and what is of the system.
	others := regexp.MustCompile("^(database disk image|disk I/O|(file is )?not a database|connection refused|permission denied|usher |client rotate|keys r|systemctl |journalctl |timedatectl |docker |/usher |ss |chmod |go tool |-top |process_|go_|(open|max)_fds|(first|last)_)")
	settings, n := read(t, "docs/configuration.md"), 0
	text := regexp.MustCompile("(?s)```.*?```").ReplaceAllString(page, "")
	for _, m := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(text, -1) {
		said := m[1]
		switch {
		case others.MatchString(said):
			continue
		case regexp.MustCompile(`^[a-z]+(\.[a-zA-Z]+)+$`).MatchString(said) && !strings.HasSuffix(said, ".key") && !strings.HasSuffix(said, ".leaked"):
			if !strings.Contains(settings, "`"+said+"`") && !strings.Contains(settings, "`"+said+".") {
				t.Errorf("there is no setting %s", said)
			}
		case regexp.MustCompile(`^[a-z]+_[a-z_]+$`).MatchString(said):
			if !strings.Contains(code.String(), `"`+said+`"`) {
				t.Errorf("nothing is called %s", said)
			}
		case regexp.MustCompile(`^(seal\.key )?[a-z]+ [a-z ,;]+$`).MatchString(said):
			if !strings.Contains(code.String(), strings.TrimPrefix(said, "seal.key ")) {
				t.Errorf("nothing says %q", said)
			}
		default:
			continue
		}
		n++
	}
	if n < 40 {
		t.Errorf("only %d quotations were found", n)
	}
}

// What a page points to is there, and so are the headings.
func TestEveryLinkOfTheDocumentationLeadsSomewhere(t *testing.T) {
	t.Parallel()
	n := 0
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		pages, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			for _, link := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(read(t, page), -1) {
				path, heading, _ := strings.Cut(link[1], "#")
				if strings.Contains(path, "://") {
					continue
				}
				n++
				target := page
				if path != "" {
					target = filepath.Join(filepath.Dir(page), path)
				}
				if _, err := os.Stat(target); err != nil {
					t.Errorf("%s: %v", page, err)
				} else if heading != "" && !slices.Contains(headings(read(t, target)), heading) {
					t.Errorf("%s: %s has no heading #%s", page, target, heading)
				}
			}
		}
	}
	if n < 30 {
		t.Errorf("only %d links were found", n)
	}
}

// headings returns what a page's headings are called in links.
func headings(page string) (names []string) {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(page, -1) {
		name := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Whoever copies a configuration to run a server by has one whose data is where
// the server looks, whichever folder it is started in, and whose callers are not
// all counted as their proxy.
func TestWhatIsCopiedToMoveNamesItsDataAndItsProxy(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("docs/moving/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("got %d pages, error %v", len(pages), err)
	}
	for _, page := range pages {
		found := false
		for i, block := range strings.Split(read(t, page), "```") {
			text, isYAML := strings.CutPrefix(block, "yaml\n")
			if i%2 == 0 || !isYAML || !strings.HasPrefix(text, "server:\n") {
				continue
			}
			found = true
			for _, want := range []string{"\n  trustedProxies: [", "\ndata: /"} {
				if !strings.Contains(text, want) {
					t.Errorf("%s: a configuration has no %q", page, want)
				}
			}
		}
		if !found {
			t.Errorf("%s has no configuration of a server", page)
		}
	}
}
