package usher_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/goccy/go-yaml"

	"usher/internal/config"
)

// sound reports what is wrong with a configuration that a package brings.
func sound(t *testing.T, where, text string, environ ...string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "usher.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, warnings, err := config.Load(config.Options{Path: path, Environ: environ})
	if err != nil || len(warnings) > 0 {
		t.Errorf("%s: %v %s", where, err, strings.Join(warnings, " "))
	}
	if cfg.Server.HTTP != ":8080" {
		t.Errorf("%s: listens on %q; what the image exposes, and is asked for its health at, is :8080", where, cfg.Server.HTTP)
	}
	if cfg.Data != "/data/usher" {
		t.Errorf("%s: keeps its data in %q, want a folder of its own in the volume /data", where, cfg.Data)
	}
}

// What an image is made of, and what it runs, is there.
func TestTheDockerfileNamesWhatThereIs(t *testing.T) {
	t.Parallel()
	file := read(t, "deploy/Dockerfile")
	for _, m := range regexp.MustCompile(`(?m)^COPY ([^-\n].*) \S+$`).FindAllStringSubmatch(file, -1) {
		for path := range strings.FieldsSeq(m[1]) {
			if _, err := os.Stat(path); err != nil {
				t.Error(err)
			}
		}
	}
	for _, want := range []string{"CGO_ENABLED=0", "FROM scratch", "USER 65532:65532", `HEALTHCHECK`, `["/usher", "health", "http://127.0.0.1:8080/healthz"]`} {
		if !strings.Contains(file, want) {
			t.Errorf("the Dockerfile lacks %s", want)
		}
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod"))
	if version == nil || !strings.Contains(file, "FROM golang:"+version[1]+"-") {
		t.Errorf("the Dockerfile does not build with the Go of go.mod, %q", version)
	}
}

func TestTheComposeFileRunsASoundServer(t *testing.T) {
	t.Parallel()
	var compose struct {
		Services map[string]struct {
			Build       struct{ Context, Dockerfile string }
			Environment map[string]string
			Volumes     []string
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "deploy/compose/compose.yaml")), &compose); err != nil {
		t.Fatal(err)
	}
	usher := compose.Services["usher"]
	read(t, filepath.Join("deploy/compose", usher.Build.Context, usher.Build.Dockerfile))
	var environ []string
	for name, value := range usher.Environment {
		value = regexp.MustCompile(`\$\{USHER_HOST[^}]*\}`).ReplaceAllString(value, "usher.example.com")
		environ = append(environ, name+"="+value)
	}
	for _, volume := range usher.Volumes {
		from, _, _ := strings.Cut(volume, ":")
		if strings.HasPrefix(from, ".") {
			read(t, filepath.Join("deploy/compose", from))
		}
	}
	sound(t, "compose", read(t, "deploy/compose/usher.yaml"), environ...)
}

// The chart is rendered with the few functions that it uses, as Helm has them;
// Helm itself is not needed.
func TestTheChartMakesASoundServer(t *testing.T) {
	t.Parallel()
	var values map[string]any
	if err := yaml.Unmarshal([]byte(read(t, "deploy/helm/usher/values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	functions := template.FuncMap{
		"toYaml": func(v any) (string, error) {
			text, err := yaml.Marshal(v)
			return strings.TrimSuffix(string(text), "\n"), err
		},
		"nindent": func(n int, s string) string {
			return "\n" + regexp.MustCompile("(?m)^").ReplaceAllString(s, strings.Repeat(" ", n))
		},
		"quote":     func(s any) string { return fmt.Sprintf("%q", fmt.Sprint(s)) },
		"sha256sum": func(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) },
	}
	files, err := filepath.Glob("deploy/helm/usher/templates/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, ingress := range []bool{false, true} {
		values["ingress"].(map[string]any)["enabled"] = ingress
		var kinds []string
		for _, file := range files {
			parsed, err := template.New(file).Funcs(functions).Option("missingkey=error").Parse(read(t, file))
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := parsed.Execute(&out, map[string]any{"Values": values, "Release": map[string]any{"Name": "mine"}}); err != nil {
				t.Fatal(err)
			}
			var object struct {
				Kind     string
				Metadata struct{ Name string }
				Data     map[string]string
			}
			if err := yaml.Unmarshal(out.Bytes(), &object); err != nil {
				t.Fatalf("%s: %v\n%s", file, err, &out)
			}
			if object.Kind == "" {
				continue
			}
			kinds = append(kinds, object.Kind)
			if object.Metadata.Name != "mine" {
				t.Errorf("%s: it is called %q, want the name of the release", file, object.Metadata.Name)
			}
			if object.Kind == "ConfigMap" {
				sound(t, file, object.Data["usher.yaml"])
			}
		}
		want := []string{"ConfigMap", "Service", "StatefulSet"}
		if ingress {
			want = []string{"ConfigMap", "Ingress", "Service", "StatefulSet"}
		}
		slices.Sort(kinds)
		if !slices.Equal(kinds, want) {
			t.Errorf("with an ingress %v: got %q, want %q", ingress, kinds, want)
		}
	}
}

// systemd's own judgement is asked where it is installed; it needs no systemd
// that runs.
func TestTheUnitIsHardened(t *testing.T) {
	t.Parallel()
	unit := read(t, "deploy/systemd/usher.service")
	for _, want := range []string{
		"User=usher", "ExecReload=/bin/kill -HUP $MAINPID", "StateDirectory=usher", "StateDirectoryMode=0700", "NoNewPrivileges=true",
		"ProtectSystem=strict", "CapabilityBoundingSet=", "MemoryDenyWriteExecute=true", "LimitNOFILE=65536",
	} {
		if !slices.Contains(strings.Split(unit, "\n"), want) {
			t.Errorf("the unit lacks %s", want)
		}
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("there is no systemd-analyze, so that systemd was not asked")
		return
	}
	// The binary is put where it is when it is installed, not on this machine.
	path := filepath.Join(t.TempDir(), "usher.service")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(unit, "/usr/local/bin/usher", "/bin/true")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"verify", "--man=no", path}, {"security", "--offline=true", "--threshold=20", path}} {
		if out, err := exec.CommandContext(t.Context(), analyze, args...).CombinedOutput(); err != nil || args[0] == "verify" && len(out) > 0 {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
		}
	}
}
