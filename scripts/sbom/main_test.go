package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

func TestABinarySaysWhatItIsMadeOf(t *testing.T) {
	t.Parallel()
	lock := filepath.Join(t.TempDir(), "package-lock.json")
	err := os.WriteFile(lock, []byte(`{"packages": {
		"": {"version": "0.1.0"},
		"node_modules/@mantine/core": {"version": "9.7.3"},
		"node_modules/a/node_modules/react": {"version": "19.3.1"},
		"node_modules/b/node_modules/react": {"version": "19.3.1"},
		"node_modules/vite": {"version": "8.3.8", "dev": true}
	}}`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var first, second bytes.Buffer
	for _, out := range []*bytes.Buffer{&first, &second} {
		if err := run([]string{self, "v1.2.3", lock}, out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the same binary made two documents")
	}
	var got document
	if err := json.Unmarshal(first.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if c := got.Metadata.Component; got.Format != "CycloneDX" || c.Name != "usher" || c.Version != "v1.2.3" {
		t.Errorf("got a document of %q %+v", got.Format, c)
	}
	there := map[string]bool{}
	for _, c := range got.Components {
		if there[c.PURL] {
			t.Errorf("%s is there twice", c.PURL)
		}
		there[c.PURL] = true
		if c.Name == "vite" || c.Name == "" || c.Version == "" {
			t.Errorf("got %+v, which is not in the binary or has no name or version", c)
		}
	}
	for _, want := range []string{"pkg:npm/%40mantine/core@9.7.3", "pkg:npm/react@19.3.1"} {
		if !there[want] {
			t.Errorf("%s is missing", want)
		}
	}
}

func TestWhatIsNoBinaryHasNoDocument(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"too little":         {"usher"},
		"no file":            {filepath.Join(t.TempDir(), "usher"), "v1", "lock"},
		"not a Go's program": {"main.go", "v1", "lock"},
	} {
		if err := run(args, new(bytes.Buffer)); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}
