package config_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher/internal/config"
)

func TestVariablesOfAFile(t *testing.T) {
	for text, want := range map[string]string{
		"USHER_DATA=d":                          "d",
		"  export USHER_DATA = d  \r\n":         "d",
		"\ufeffUSHER_DATA=d":                    "d",
		"# USHER_DATA=c\n\nUSHER_DATA=d # e":    "d",
		"USHER_DATA=d#e":                        "d#e",
		"USHER_DATA=a b = c":                    "a b = c",
		"USHER_DATA='a # \\n $HOME' # c":        `a # \n $HOME`,
		`USHER_DATA="a\n\t\"\\\$HOME\d"#c`:      "a\n\t\"\\$HOME\\d",
		`USHER_DATA="it's"`:                     "it's",
		"USHER_DATA=$HOME":                      "$HOME",
		"USHER_DATA=c\nUSHER_DATA=d":            "d",
		"USHER_DATA=":                           "usher-data",
		"USHER_DATA=''":                         "usher-data",
		"USHER_DATA= # nothing":                 "usher-data",
		"USHER_LOG_LEVEL=debug\nUSHER_DATA=d\n": "d",
	} {
		t.Run(text, func(t *testing.T) {
			c, warnings := load(t, config.Options{Dev: true, DotEnv: write(t, text)})
			if c.Data != want {
				t.Errorf("data = %q, want %q", c.Data, want)
			}
			if len(warnings) > 0 {
				t.Errorf("warnings = %q", warnings)
			}
		})
	}
}

func TestVariablesOfAFileStandInForThoseOfTheEnvironment(t *testing.T) {
	file := write(t, "data: file\n")
	dotEnv := write(t, "USHER_DATA=dotenv\n")
	for name, tc := range map[string]struct {
		o    config.Options
		want string
	}{
		"over the configuration's file":   {config.Options{Dev: true, Path: file}, "dotenv"},
		"under the environment":           {config.Options{Dev: true, Path: file, Environ: []string{"USHER_DATA=env"}}, "env"},
		"over a variable without a value": {config.Options{Dev: true, Environ: []string{"USHER_DATA="}}, "dotenv"},
		"under flags":                     {config.Options{Dev: true, Flags: map[string]string{"data": "flag"}}, "flag"},
		"not outside development mode":    {config.Options{Path: file, Flags: map[string]string{"server.publicURL": "https://a.example"}}, "file"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.o.DotEnv = dotEnv
			c, _ := load(t, tc.o)
			if c.Data != tc.want {
				t.Errorf("data = %q, want %q", c.Data, tc.want)
			}
		})
	}
}

func TestAFileOfVariablesNeedNotBeOne(t *testing.T) {
	dir := t.TempDir()
	long := write(t, strings.Repeat("#", 1<<20+1))
	broken := write(t, "USHER_LOG_LEVEL=debug\n"+canary+"\n=x\nA-B=x\n1A=x\nA='x\nB=\"x\\\"\nC='x' y\n")
	for name, tc := range map[string]struct {
		path string
		want []string
	}{
		"no file":           {filepath.Join(dir, "none"), nil},
		"a folder":          {dir, []string{dir + " can't be read: is a directory, and is passed over."}},
		"more than fits":    {long, []string{long + " is longer than 1048576 bytes, and is passed over."}},
		"lines of no kind":  {broken, []string{broken + " has what is not NAME=value, and is passed over: line 2, line 3, line 4, line 5, line 6, line 7, line 8."}},
		"a misspelled name": {write(t, "USHER_DTA=x"), []string{"The environment variable USHER_DTA means nothing to us; did you mean USHER_DATA?"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, got := load(t, config.Options{Dev: true, DotEnv: tc.path})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	c, _ := load(t, config.Options{Dev: true, DotEnv: broken})
	if c.Log.Level != "debug" {
		t.Errorf("log.level = %q: the line that is right is not read", c.Log.Level)
	}
}

func TestAMistakeNamesTheFileOfVariables(t *testing.T) {
	path := write(t, "USHER_LOG_LEVEL=loud")
	got := problems(t, config.Options{Dev: true, DotEnv: path})
	want := []string{"log.level: must be debug, info, warn or error (USHER_LOG_LEVEL in " + path + ")"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzDotEnv(f *testing.F) {
	for _, seed := range []string{"A=b # c\n", "export A='b'\r\n", `A="\n\"` + "\n=\n", "\ufeff#\nA=\xff\x00", "USHER_DATA='\\''"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		values, malformed := config.ParseDotEnv(text)
		for name, value := range values {
			if name == "" || strings.ContainsAny(name, "= #'\"\n") {
				t.Errorf("%q is a name", name)
			}
			if len(value) > len(text) || strings.Contains(value, "\n") && !bytes.Contains(text, []byte(`\n`)) {
				t.Errorf("%s has more than is on its line: %q", name, value)
			}
		}
		if lines := bytes.Count(text, []byte("\n")) + 1; len(values)+len(malformed) > lines {
			t.Errorf("%d values and %d malformed lines of %d", len(values), len(malformed), lines)
		}
	})
}
