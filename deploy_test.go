package usher_test

import (
	"encoding/json"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// A board or a rule that asks for what nobody measures shows nothing, for ever.
func TestTheBoardAndTheAlertsAskForMetricsThatThereAre(t *testing.T) {
	t.Parallel()
	labels := metricsAndLabels(t)
	shown := map[string]bool{}
	check := func(where, query string) {
		for _, m := range regexp.MustCompile(`(usher_\w+)(?:\{([^}]*)\})?`).FindAllStringSubmatch(query, -1) {
			name := m[1]
			if _, ok := labels[name]; !ok {
				name = regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
			}
			known, ok := labels[name]
			if !ok {
				t.Errorf("%s: there is no %s", where, m[1])
				continue
			}
			shown[name] = true
			for _, l := range regexp.MustCompile(`(\w+)\s*(?:=|!)`).FindAllStringSubmatch(m[2], -1) {
				if l[1] != "instance" && !slices.Contains(known, l[1]) {
					t.Errorf("%s: %s has no label %s", where, name, l[1])
				}
			}
		}
	}

	var board struct {
		Panels []struct {
			ID          int
			Type, Title string
			Datasource  struct{ Type, UID string }
			GridPos     struct{ X, Y, W, H int }
			Targets     []struct{ RefID, Expr string }
		}
		Templating struct{ List []struct{ Query string } }
	}
	if err := json.Unmarshal([]byte(read(t, "deploy/monitoring/grafana.json")), &board); err != nil {
		t.Fatal(err)
	}
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range board.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		ids[p.ID] = true
		if at := p.GridPos; at.W < 1 || at.H < 1 || at.X < 0 || at.X+at.W > 24 {
			t.Errorf("panel %s is outside of the board: %+v", p.Title, at)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok {
					t.Fatalf("panel %s lies on %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			if refs[target.RefID] || target.RefID == "" {
				t.Errorf("panel %s: two queries are called %q, or one is not", p.Title, target.RefID)
			}
			refs[target.RefID] = true
			check("panel "+p.Title, target.Expr)
		}
		if p.Type != "row" && (len(refs) == 0 || p.Datasource.Type != "prometheus" || p.Datasource.UID != "${datasource}") {
			t.Errorf("panel %s has %d queries of %+v, want some of the board's variable", p.Title, len(refs), p.Datasource)
		}
	}
	for _, v := range board.Templating.List {
		check("a variable of the board", v.Query)
	}
	for name := range maps.Keys(labels) {
		if !shown[name] && name != "usher_config_last_reload_success_timestamp_seconds" {
			t.Errorf("the board does not show %s", name)
		}
	}

	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Labels      struct{ Severity string }
				Annotations struct{ Summary, Description string }
			}
		}
	}
	if err := yaml.UnmarshalWithOptions([]byte(read(t, "deploy/monitoring/alerts.yaml")), &rules); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			n++
			check("alert "+r.Alert, r.Expr)
			if r.Alert == "" || r.Expr == "" || r.Labels.Severity == "" || r.Annotations.Summary == "" || r.Annotations.Description == "" {
				t.Errorf("alert %q lacks a name, an expression, a severity, a summary or what to do", r.Alert)
			}
		}
	}
	if n == 0 {
		t.Error("there is no alert")
	}
}

// What promtool tests is each alert: that it fires, and that it doesn't.
func TestEveryAlertHasItsTest(t *testing.T) {
	t.Parallel()
	var tests struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string
				ExpAlerts []any `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "deploy/monitoring/alerts_test.yaml")), &tests); err != nil {
		t.Fatal(err)
	}
	fires := map[string]bool{}
	for _, test := range tests.Tests {
		for _, a := range test.AlertRuleTest {
			fires[a.Alertname] = fires[a.Alertname] || len(a.ExpAlerts) > 0
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(read(t, "deploy/monitoring/alerts.yaml"), -1) {
		if !fires[m[1]] {
			t.Errorf("no test has %s fire", m[1])
		}
	}
}

// metricsAndLabels returns every metric that the code has, with its labels.
func metricsAndLabels(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, path := range sources(t, "*.go") {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		for _, m := range regexp.MustCompile(`(?s)Name:\s+"(usher_\w+)".*?\n\t*(?:\}\)|\}, \[\]string\{([^}]*)\}|\}, func)`).FindAllStringSubmatch(read(t, path), -1) {
			found[m[1]] = strings.Split(strings.NewReplacer(`"`, "", " ", "").Replace(m[2]), ",")
		}
	}
	if len(found) < 20 {
		t.Fatalf("only %d metrics were found", len(found))
	}
	return found
}

// sources returns the files that git knows by such a name.
func sources(t *testing.T, pattern string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "ls-files", "--cached", "--others", "--exclude-standard", "--", pattern).Output()
	if err != nil {
		t.Fatal(err)
	}
	paths := strings.Fields(string(out))
	if len(paths) == 0 {
		t.Fatalf("no file is called %s", pattern)
	}
	for i := range paths {
		paths[i] = filepath.FromSlash(paths[i])
	}
	return paths
}
