package vpaas_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"usher/internal/platform/vpaas"
)

func TestLoadPrivateKey(t *testing.T) {
	must := func(der []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	block := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	pkcs8 := func(key any) []byte { return block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key))) }
	encrypted := func(kind string) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}, Bytes: []byte("x")})
	}
	large, ec := rsaKey(), p384(t)
	small, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	exchange, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1 := block("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(ec)))

	for name, test := range map[string]struct {
		text  []byte
		key   crypto.Signer
		wrong string
	}{
		"RSA as PKCS #8":                    {text: pkcs8(large), key: large},
		"RSA as PKCS #1":                    {text: block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(large)), key: large},
		"P-384 as PKCS #8":                  {text: pkcs8(ec), key: ec},
		"P-384 as SEC 1":                    {text: sec1, key: ec},
		"P-384 as openssl ecparam -genkey":  {text: append(block("EC PARAMETERS", []byte{6, 5, 43, 129, 4, 0, 34}), sec1...), key: ec},
		"Ed25519":                           {text: pkcs8(ed), key: ed},
		"text before the key":               {text: append([]byte("Bag Attributes\n"), pkcs8(ed)...), key: ed},
		"RSA of 2048 bits":                  {text: pkcs8(small), wrong: "has 2048 bits and VPaaS accepts RSA keys from 4096 bits"},
		"P-256":                             {text: pkcs8(p256), wrong: "curve P-256 and VPaaS accepts P-384"},
		"X25519":                            {text: pkcs8(exchange), wrong: "can't sign"},
		"the public key":                    {text: block("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(ec.Public()))), wrong: "name the file with the private one"},
		"a certificate":                     {text: block("CERTIFICATE", nil), wrong: "name the file with the private one"},
		"an encrypted key":                  {text: block("ENCRYPTED PRIVATE KEY", []byte("x")), wrong: "openssl pkey -in FILE"},
		"an encrypted RSA key of old kind":  {text: encrypted("RSA PRIVATE KEY"), wrong: "openssl pkey -in FILE"},
		"an encrypted EC key of old kind":   {text: encrypted("EC PRIVATE KEY"), wrong: "openssl pkey -in FILE"},
		"something else in PEM form":        {text: block("CANARY", []byte("x")), wrong: "something else than a private key"},
		"a damaged key":                     {text: block("PRIVATE KEY", []byte("canary")), wrong: "is damaged"},
		"parameters without a key":          {text: block("EC PARAMETERS", nil), wrong: "no PEM file"},
		"no PEM":                            {text: []byte("canary"), wrong: "no PEM file; make one with: openssl genpkey"},
		"nothing":                           {wrong: "no PEM file"},
		"a great deal of something":         {text: bytes.Repeat([]byte("canary\n"), 100_000), wrong: "no PEM file"},
		"a key whose PEM was cut in half":   {text: sec1[:len(sec1)/2], wrong: "no PEM file"},
		"a PKCS #1 key that says it is SEC": {text: block("EC PRIVATE KEY", x509.MarshalPKCS1PrivateKey(small)), wrong: "is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "privateKey.pem")
			if err := os.WriteFile(path, test.text, 0o600); err != nil {
				t.Fatal(err)
			}
			key, err := vpaas.LoadPrivateKey(path)
			if test.wrong == "" {
				if err != nil {
					t.Fatal(err)
				}
				if !key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(test.key.Public()) {
					t.Error("got another key")
				}
				return
			}
			if err == nil {
				t.Fatal("got no error")
			}
			text := err.Error()
			if !strings.HasPrefix(text, "vpaas: private key: "+path+": ") || !strings.Contains(text, test.wrong) {
				t.Errorf("got %q, want it to name the file and to say %q", text, test.wrong)
			}
			if strings.Contains(strings.ToLower(text), "canary") {
				t.Errorf("%q repeats what is in the file", text)
			}
		})
	}

	_, err = vpaas.LoadPrivateKey(filepath.Join(t.TempDir(), "missing.pem"))
	if err == nil || !strings.Contains(err.Error(), "missing.pem") || !strings.Contains(err.Error(), "openssl genpkey") {
		t.Errorf("a missing file: got %v, want its name and how to make one", err)
	}
}
