package e2e_test

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestTheTourOfRoomServiceWorksAsPrinted(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	s := start(t, options{})
	_, tour, found := strings.Cut(string(readFile(t, "../README.md")), "## Tour: Room Service")
	if !found {
		t.Fatal("README.md has no tour of Room Service")
	}
	tour, _, _ = strings.Cut(tour, "\n## ")
	here := strings.NewReplacer("bin/usher", usherBinary(t), "usher-data", s.Data, "http://localhost:8080", s.HTTP)
	var script strings.Builder
	for i, block := range strings.Split(tour, "```") {
		if i%2 == 1 {
			script.WriteString(strings.ReplaceAll(strings.TrimPrefix(block, "console"), "\n$ ", "\n"))
		}
	}
	cmd := exec.CommandContext(within(t, time.Minute), "sh", "-e", "-c", here.Replace(script.String()))
	cmd.Env = environ()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the tour: %v\n%s", err, out)
	}
	answers := strings.Split(strings.TrimSpace(string(out)), "\n")
	want := []string{`{"user":"alice",`, `{"user":"`}
	if len(answers) != len(want) {
		t.Fatalf("the tour prints %d lines, want %d", len(answers), len(want))
	}
	for i, a := range answers {
		if !strings.HasPrefix(a, want[i]) || s.passOf(answer{Body: a}).Token == "" {
			t.Errorf("the tour prints %q, want it to begin with %q", a, want[i])
		}
	}
}
