package janus_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"usher/internal/platform/janus"
)

// keyFiles are the forms that a key comes in.
func keyFiles(t testing.TB, key *rsa.PrivateKey) map[string][]byte {
	t.Helper()
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	pkcs1, public := x509.MarshalPKCS1PrivateKey(key), x509.MarshalPKCS1PublicKey(&key.PublicKey)
	return map[string][]byte{
		"PKCS #1 private DER": pkcs1,
		"PKCS #1 private PEM": armor("RSA PRIVATE KEY", pkcs1),
		"PKCS #8 private DER": pkcs8,
		"PKCS #8 private PEM": armor("PRIVATE KEY", pkcs8),
		"PKCS #1 public DER":  public,
		"PKCS #1 public PEM":  armor("RSA PUBLIC KEY", public),
		"SPKI DER":            spki,
		"SPKI PEM":            armor("PUBLIC KEY", spki),
	}
}

func armor(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func TestParsePrivateKey(t *testing.T) {
	for name, file := range keyFiles(t, newKey()) {
		key, err := janus.ParsePrivateKey(file)
		if strings.Contains(name, "private") {
			if err != nil || !newKey().Equal(key) {
				t.Errorf("%s: got another key, %v", name, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), "public half") {
			t.Errorf("%s: got %v, want that it is the public half", name, err)
		}
	}
}

func TestParsePrivateKeyRefuses(t *testing.T) {
	curve, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(random)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(edwards)
	if err != nil {
		t.Fatal(err)
	}
	good := x509.MarshalPKCS1PrivateKey(newKey())
	tests := map[string]struct {
		file []byte
		want string
	}{
		"nothing":               {nil, "damaged"},
		"some text":             {[]byte("/etc/usher/key.pem\n"), "damaged"},
		"PEM that is cut":       {armor("RSA PRIVATE KEY", good)[:200], "damaged"},
		"DER that is cut":       {good[:200], "damaged"},
		"DER with a line break": {append(bytes.Clone(good), '\n'), "damaged"},
		"1024 bits":             {x509.MarshalPKCS1PrivateKey(generate(1024)), "1024 bits"},
		"a curve":               {armor("EC PRIVATE KEY", sec1), "no RSA key"},
		"a curve in DER":        {sec1, "no RSA key"},
		"Ed25519":               {armor("PRIVATE KEY", pkcs8), "no RSA key"},
		"encrypted":             {armor("ENCRYPTED PRIVATE KEY", good), "encrypted"},
		"encrypted the old way": {pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"DEK-Info": "x"}, Bytes: good}), "encrypted"},
		"OpenSSH's own form":    {armor("OPENSSH PRIVATE KEY", good), "ssh-keygen -p -m pem"},
		"a certificate":         {armor("CERTIFICATE", good), "certificate"},
		"something else in PEM": {armor("X509 CRL", good), "no RSA key"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := janus.ParsePrivateKey(test.file)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "janus: private key: it ") && !strings.HasPrefix(err.Error(), "janus: private key: the key in it ") {
				t.Errorf("got %v, want a sentence with %q", err, test.want)
			}
		})
	}
}

func TestLoadPrivateKeySaysThatThereIsNoFile(t *testing.T) {
	_, err := janus.LoadPrivateKey(filepath.Join(t.TempDir(), "key.pem"))
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "janus: private key: ") {
		t.Errorf("got %v, want that the file does not exist", err)
	}
}

func TestExportRefuses(t *testing.T) {
	curve, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]any{
		"1024 bits": &generate(1024).PublicKey, "a curve": curve, "a curve's public half": &curve.PublicKey,
		"nothing": nil, "no key": (*rsa.PublicKey)(nil), "a path": "key.pem",
	} {
		if der, err := janus.ExportDER(key); err == nil || der != nil {
			t.Errorf("%s was exported", name)
		}
	}
}

// TestTheSeedsCommands runs the tutorial's four commands and compares.
func TestTheSeedsCommands(t *testing.T) {
	for _, tool := range []string{"openssl", "ssh-keygen"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing(t, tool)
		}
	}
	dir := t.TempDir()
	for _, command := range []string{
		"ssh-keygen -q -t rsa -b 2048 -f key.pem -N '' -m pem",
		"openssl rsa -in key.pem -outform PEM -pubout -out public.pem",
		"openssl rsa -in key.pem -outform DER -out key.der",
		"openssl rsa -in key.der -inform DER -RSAPublicKey_out -outform DER -out public.der",
	} {
		run := exec.CommandContext(t.Context(), "sh", "-c", command)
		run.Dir = dir
		if out, err := run.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	read := func(name string) []byte {
		file, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	want := read("public.der")
	for _, name := range []string{"key.pem", "key.der"} {
		key, err := janus.LoadPrivateKey(filepath.Join(dir, name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := janus.ExportDER(key); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is exported as another file than the tutorial's, %v", name, err)
		}
	}
	for _, name := range []string{"public.pem", "public.der", "key.pem", "key.der"} {
		if got, err := janus.ConvertDER(read(name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is converted into another file than the tutorial's, %v", name, err)
		}
	}
}

// missing ends a test that needs a program.
func missing(t *testing.T, program string) {
	t.Helper()
	message := fmt.Sprintf("%s is missing; scripts/test-deps installs it", program)
	if os.Getenv("CI") == "true" {
		t.Fatal(message)
	}
	t.Skip(message)
}
