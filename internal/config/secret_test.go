package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/config"
)

const canary = "s3cret-canary"

// section is a section with a secret, as platforms have.
type section struct {
	AppKey usher.Secret `yaml:"appKey"`
}

func TestSecretsComeFromWhereTheyAreKept(t *testing.T) {
	file := write(t, canary+"\r\n")
	empty := write(t, "\n")
	missing := filepath.Join(t.TempDir(), "none")
	warning := []string{"appKey is written out (line 1); keep it in a file and write file:PATH, or in a variable and write env:NAME."}
	for name, tc := range map[string]struct {
		text     string
		environ  []string
		flags    map[string]string
		warnings []string
		problem  string
	}{
		"a file":             {text: "appKey: file:" + file},
		"a variable":         {text: "appKey: env:KEY", environ: []string{"KEY=" + canary}},
		"written out":        {text: "appKey: " + canary, warnings: warning},
		"our variable":       {environ: []string{"USHER_APP_KEY=" + canary}},
		"our variable's ref": {environ: []string{"USHER_APP_KEY=file:" + file}},
		"a flag": {
			flags:    map[string]string{"appKey": canary},
			warnings: []string{"appKey is written out (command line); keep it in a file and write file:PATH, or in a variable and write env:NAME."},
		},
		"overridden by a reference": {
			text: "appKey: file:" + missing, environ: []string{"USHER_APP_KEY=file:" + file},
		},
		"an empty file":     {text: "appKey: file:" + empty, problem: "appKey: " + empty + " is empty (line 1)"},
		"a missing file":    {text: "appKey: file:" + missing, problem: "appKey: " + missing + " can't be read: no such file or directory (line 1)"},
		"an unset variable": {text: "appKey: env:KEY", problem: "appKey: the environment variable KEY is not set (line 1)"},
	} {
		t.Run(name, func(t *testing.T) {
			var s section
			warnings, err := config.LoadInto(&s, tc.text, tc.environ, tc.flags)
			if tc.problem != "" {
				if err == nil || err.Error() != "config: "+tc.problem {
					t.Errorf("error = %v, want %s", err, tc.problem)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := s.AppKey.Reveal(); got != canary {
				t.Errorf("secret = %q, want %q", got, canary)
			}
			if diff := cmp.Diff(tc.warnings, warnings); diff != "" {
				t.Errorf("warnings:\n%s", diff)
			}
		})
	}
}

func TestSecretsInAListComeFromWhereTheyAreKept(t *testing.T) {
	var s struct {
		Apps []section `yaml:"apps"`
	}
	warnings, err := config.LoadInto(&s, "apps:\n  - appKey: env:KEY\n  - appKey: "+canary+"\n", []string{"KEY=" + canary}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Apps) != 2 || s.Apps[0].AppKey.Reveal() != canary || s.Apps[1].AppKey.Reveal() != canary {
		t.Errorf("secrets = %v", s.Apps)
	}
	want := []string{"apps[1].appKey is written out (line 3); keep it in a file and write file:PATH, or in a variable and write env:NAME."}
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Errorf("warnings:\n%s", diff)
	}
	_, err = config.LoadInto(&s, "apps: [{appKey: env:NONE}]", nil, nil)
	if want := "config: apps[0].appKey: the environment variable NONE is not set (line 1)"; err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	for name, text := range map[string]string{
		"written out": "appKey: " + canary,
		"a file":      "appKey: file:" + write(t, canary),
	} {
		t.Run(name, func(t *testing.T) {
			var s section
			if _, err := config.LoadInto(&s, text, nil, nil); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				fmt.Fprintf(&out, verb+"\n", s)
				fmt.Fprintf(&out, verb+"\n", s.AppKey)
			}
			slog.New(slog.NewTextHandler(&out, nil)).Info("x", "key", s.AppKey, "section", s)
			slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "key", s.AppKey, "section", s)
			for _, marshal := range []func(any) ([]byte, error){yaml.Marshal, json.Marshal} {
				b, err := marshal(s)
				if err != nil {
					t.Fatal(err)
				}
				out.Write(b)
			}
			if strings.Contains(out.String(), canary) || strings.Contains(out.String(), fmt.Sprintf("%x", canary)) {
				t.Errorf("the secret is shown:\n%s", &out)
			}
			if !strings.Contains(out.String(), s.AppKey.String()) {
				t.Errorf("nothing stands for the secret:\n%s", &out)
			}
		})
	}
}

func TestMistakesDoNotQuoteValues(t *testing.T) {
	for name, text := range map[string]string{
		"a value of the wrong type":     "rooms: {grace: " + canary + ", seats: " + canary + "}",
		"a value that is no boolean":    "compat: {vpaas: {enabled: " + canary + "}}",
		"a section that is a value":     "server: " + canary,
		"a list that is a value":        "issuers: " + canary,
		"a list of values":              "issuers: [" + canary + "]",
		"a section of names":            "policy: {roles: " + canary + "}",
		"a value in a section of names": "limits: {clients: {a: " + canary + "}}",
		"a value in a list of sections": "issuers: [{leeway: " + canary + "}]",
		"an origin":                     "server: {origins: [\"https://u:" + canary + "@a.example\"]}",
		"a proxy":                       "server: {trustedProxies: [" + canary + "]}",
		"a session's address":           "session: {url: \"https://u:" + canary + "@a.example\"}",
		"an audit":                      "audit: " + canary,
		"a value of an unknown key":     "appCertificate: " + canary,
		"a URL with a password":         "server: {publicURL: \"https://u:" + canary + "@a.example\"}",
		"a broken file":                 "data: '" + canary,
		"a secret that looks like YAML": "data: |" + canary + "\n  x\n",
		"another that does":             "data: >" + canary + "\n  x\n",
		"a tag":                         "data: !" + canary + " {x: 1",
		"an anchor":                     "data: *" + canary,
		"an escape":                     "data: \"\\" + canary + "\"",
	} {
		t.Run(name, func(t *testing.T) {
			got := problems(t, config.Options{Dev: true, Path: write(t, text)})
			if len(got) == 0 {
				t.Fatal("no mistake was found")
			}
			if all := strings.Join(got, "\n"); strings.Contains(all, canary) {
				t.Errorf("a mistake quotes the value: %s", all)
			}
		})
	}
}
