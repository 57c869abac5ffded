package usher_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

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

func TestTheComposeFilesRunASoundServer(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"compose.yaml", "tls.yaml"} {
		var compose struct {
			Services map[string]struct {
				Build       struct{ Context, Dockerfile string }
				Environment map[string]string
				Volumes     []string
				ReadOnly    bool     `yaml:"read_only"`
				CapDrop     []string `yaml:"cap_drop"`
				SecurityOpt []string `yaml:"security_opt"`
			}
		}
		if err := yaml.Unmarshal([]byte(read(t, filepath.Join("deploy/compose", file))), &compose); err != nil {
			t.Fatal(err)
		}
		usher := compose.Services["usher"]
		read(t, filepath.Join("deploy/compose", usher.Build.Context, usher.Build.Dockerfile))
		if !usher.ReadOnly || !slices.Equal(usher.CapDrop, []string{"ALL"}) || !slices.Equal(usher.SecurityOpt, []string{"no-new-privileges:true"}) {
			t.Errorf("%s: the server may more than it needs: %+v", file, usher)
		}
		var environ []string
		certificates := certificate(t, "usher.crt", "usher.key")
		for name, value := range usher.Environment {
			value = regexp.MustCompile(`\$\{USHER_HOST[^}]*\}`).ReplaceAllString(value, "usher.example.com")
			environ = append(environ, name+"="+strings.ReplaceAll(value, "/etc/usher/", certificates))
		}
		// A single file that is mounted stays the one that it was when an editor
		// puts another in its place.
		if !slices.Contains(usher.Volumes, "./etc:/etc/usher:ro") {
			t.Errorf("%s: the folder of the configuration is not there: %q", file, usher.Volumes)
		}
		sound(t, file, read(t, "deploy/compose/etc/usher.yaml"), environ...)
	}
}

// The chart is rendered with the few functions that it uses, as Helm has them;
// Helm itself is not needed.
func TestTheChartMakesASoundServer(t *testing.T) {
	t.Parallel()
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
	for name, test := range map[string]struct {
		set  map[string]any
		want []string
	}{
		"behind a proxy":   {nil, []string{"ConfigMap", "Service http:http", "StatefulSet http"}},
		"with an ingress":  {map[string]any{"ingress": map[string]any{"enabled": true}}, []string{"ConfigMap", "Ingress", "Service http:http", "StatefulSet http"}},
		"with variables":   {map[string]any{"env": []any{map[string]any{"name": "USHER_LOG_LEVEL", "value": "warn"}}}, []string{"ConfigMap", "Service http:http", "StatefulSet http"}},
		"with TLS":         {map[string]any{"tls": map[string]any{"secret": "cert"}}, []string{"ConfigMap", "Service http:http https:https", "StatefulSet http https"}},
		"with TLS and all": {map[string]any{"tls": map[string]any{"secret": "cert"}, "service": map[string]any{"type": "LoadBalancer"}, "env": []any{map[string]any{"name": "USHER_LOG_LEVEL", "value": "warn"}}}, []string{"ConfigMap", "Service http:http https:https", "StatefulSet http https"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got, environ []string
			var file string
			certificates := certificate(t, "tls.crt", "tls.key")
			for _, o := range render(t, functions, test.set) {
				if o.Metadata.Name != "mine" {
					t.Errorf("a %s is called %q, want the name of the release", o.Kind, o.Metadata.Name)
				}
				line := o.Kind
				for _, p := range o.Spec.Ports {
					line += " " + p.Name + ":" + p.TargetPort
				}
				for _, c := range o.Spec.Template.Spec.Containers {
					for _, v := range c.Env {
						environ = append(environ, v.Name+"="+strings.ReplaceAll(v.Value, "/etc/usher-tls/", certificates))
					}
					for _, p := range c.Ports {
						line += " " + p.Name
					}
				}
				if o.Kind == "ConfigMap" {
					file = o.Data["usher.yaml"]
				}
				if (o.Spec.ExternalTrafficPolicy == "Local") != (o.Spec.Type == "LoadBalancer") {
					t.Errorf("a service of the type %q sends callers on by the policy %q", o.Spec.Type, o.Spec.ExternalTrafficPolicy)
				}
				got = append(got, line)
			}
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			sound(t, name, file, environ...)
		})
	}
}

// object is what is looked at of what the chart makes.
type object struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Type                  string
		ExternalTrafficPolicy string `yaml:"externalTrafficPolicy"`
		Ports                 []struct {
			Name       string
			TargetPort string `yaml:"targetPort"`
		}
		Template struct {
			Spec struct {
				Containers []struct {
					Env   []struct{ Name, Value string }
					Ports []struct{ Name string }
				}
			}
		}
	}
}

// render returns what the chart makes with its values, of which some are set.
func render(t *testing.T, functions template.FuncMap, set map[string]any) []object {
	t.Helper()
	var values map[string]any
	if err := yaml.Unmarshal([]byte(read(t, "deploy/helm/usher/values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	for name, value := range set {
		if section, ok := value.(map[string]any); ok {
			maps.Copy(values[name].(map[string]any), section)
		} else {
			values[name] = value
		}
	}
	files, err := filepath.Glob("deploy/helm/usher/templates/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var objects []object
	for _, file := range files {
		parsed, err := template.New(file).Funcs(functions).Option("missingkey=error").Parse(read(t, file))
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := parsed.Execute(&out, map[string]any{"Values": values, "Release": map[string]any{"Name": "mine"}}); err != nil {
			t.Fatal(err)
		}
		var o object
		if err := yaml.Unmarshal(out.Bytes(), &o); err != nil {
			t.Fatalf("%s: %v\n%s", file, err, &out)
		}
		if o.Kind != "" {
			objects = append(objects, o)
		}
	}
	return objects
}

// certificate makes a certificate for usher.example.com in a folder, whose path it
// returns with a slash.
func certificate(t *testing.T, certFile, keyFile string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"usher.example.com"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * 90 * time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir() + string(filepath.Separator)
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(dir+name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// systemd's own judgement is asked where it is installed; it needs no systemd
// that runs.
func TestTheUnitIsHardened(t *testing.T) {
	t.Parallel()
	unit := read(t, "deploy/systemd/usher.service")
	for _, want := range []string{
		"User=usher", "ExecReload=/bin/kill -HUP $MAINPID", "StateDirectory=usher", "StateDirectoryMode=0700", "NoNewPrivileges=true",
		"ProtectSystem=strict", "CapabilityBoundingSet=", "MemoryDenyWriteExecute=true", "LimitNOFILE=65536", "StartLimitIntervalSec=0",
	} {
		if !slices.Contains(strings.Split(unit, "\n"), want) {
			t.Errorf("the unit lacks %s", want)
		}
	}
	// Go asks /proc/sys how many callers may wait, and takes 128 for no answer.
	if strings.Contains(unit, "\nProcSubset=pid") {
		t.Error("the unit hides /proc/sys")
	}
	ports := strings.Split(read(t, "deploy/systemd/ports.conf"), "\n")
	for _, want := range []string{"CapabilityBoundingSet=CAP_NET_BIND_SERVICE", "AmbientCapabilities=CAP_NET_BIND_SERVICE", "PrivateUsers=false"} {
		if !slices.Contains(ports, want) {
			t.Errorf("ports.conf lacks %s", want)
		}
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("there is no systemd-analyze, so that systemd was not asked")
		return
	}
	for _, dropIn := range []bool{false, true} {
		// The binary is put where it is when it is installed, not on this machine.
		path := filepath.Join(t.TempDir(), "usher.service")
		files := map[string]string{path: strings.ReplaceAll(unit, "/usr/local/bin/usher", "/bin/true")}
		if dropIn {
			files[filepath.Join(path+".d", "ports.conf")] = strings.Join(ports, "\n")
		}
		for file, text := range files {
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, args := range [][]string{{"verify", "--man=no", path}, {"security", "--offline=true", "--threshold=20", path}} {
			if out, err := exec.CommandContext(t.Context(), analyze, args...).CombinedOutput(); err != nil || args[0] == "verify" && len(out) > 0 {
				t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
			}
		}
	}
}
