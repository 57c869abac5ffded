package config

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"usher"
)

// SecretRef is a secret in a configuration: where it is kept, as file:PATH or
// env:NAME, or the secret itself for a trial. A relative path starts at the
// folder that the server is started in. Printing, logging and marshalling yield
// where it is kept, and a placeholder for one that is written out.
type SecretRef struct {
	// ref is file:PATH or env:NAME; empty for a secret that is written out.
	ref   string
	value usher.Secret
}

const (
	fileScheme = "file:"
	envScheme  = "env:"
)

// Secret returns the secret once [Load] has fetched it.
func (r SecretRef) Secret() usher.Secret { return r.value }

// UnmarshalText reads the reference and fetches nothing.
func (r *SecretRef) UnmarshalText(text []byte) error {
	s := string(text)
	if strings.HasPrefix(s, fileScheme) || strings.HasPrefix(s, envScheme) {
		*r = SecretRef{ref: s}
	} else {
		*r = SecretRef{value: usher.Secret(s)}
	}
	return nil
}

func (r SecretRef) inline() bool { return r.ref == "" && r.value != "" }

// resolve fetches what is referred to.
func (r *SecretRef) resolve(environ map[string]string) error {
	if path, ok := strings.CutPrefix(r.ref, fileScheme); ok {
		text, err := readFile(path)
		if err != nil {
			return err
		}
		// Editors and echo end a file with a line break.
		r.value = usher.Secret(strings.TrimRight(string(text), "\r\n"))
		if r.value == "" {
			return fmt.Errorf("%s is empty", path)
		}
		return nil
	}
	if name, ok := strings.CutPrefix(r.ref, envScheme); ok {
		r.value = usher.Secret(environ[name])
		if r.value == "" {
			return fmt.Errorf("the environment variable %s is not set", name)
		}
	}
	return nil
}

// String returns where the secret is kept, or a placeholder.
func (r SecretRef) String() string {
	if r.ref != "" {
		return r.ref
	}
	return r.value.String()
}

// GoString returns what String does.
func (r SecretRef) GoString() string { return r.String() }

// Format prints what String returns, whatever the verb.
func (r SecretRef) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// LogValue logs what String returns.
func (r SecretRef) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalText writes what String returns, into YAML and JSON.
func (r SecretRef) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
