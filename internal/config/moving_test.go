package config_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"usher/internal/config"
)

// What docs/moving tells people to write works as it stands.
func TestTheConfigurationsOfTheDocumentationAreSound(t *testing.T) {
	pages, err := filepath.Glob("../../docs/moving/*.md")
	if err != nil || len(pages) != 5 {
		t.Fatalf("got the pages %q, %v; want one for each of five systems", pages, err)
	}
	texts := make(map[string]string)
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(page)] = string(text)
	}
	t.Chdir(t.TempDir())
	for file, key := range map[string][]byte{"privateKey.pem": ed25519Key(t), "key.pem": rsaKey(t)} {
		if err := os.WriteFile(file, key, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range texts {
		blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(text, -1)
		if len(blocks) == 0 {
			t.Errorf("%s has no configuration", name)
		}
		for _, block := range blocks {
			o := config.Options{Path: write(t, block[1])}
			if name == "agora.md" {
				o.Environ = []string{"APP_CERTIFICATE=5CFd2fd1755d40ecb72977518be15d3b"}
			}
			_, warnings, err := config.Load(o)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if len(warnings) > 0 {
				t.Errorf("%s: %s", name, strings.Join(warnings, " "))
			}
		}
	}
}

func rsaKey(t *testing.T) []byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
}
