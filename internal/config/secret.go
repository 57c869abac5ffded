package config

import (
	"fmt"
	"strings"

	"usher"
)

// What a setting for an [usher.Secret] begins with that says where the secret is
// kept. A relative path starts at the folder that the server is started in.
const (
	fileScheme = "file:"
	envScheme  = "env:"
)

// fetchSecret returns what a reference refers to. A text that is no reference is
// the secret itself, for a trial, and not kept anywhere.
func fetchSecret(text string, environ map[string]string) (secret usher.Secret, kept bool, err error) {
	if path, ok := strings.CutPrefix(text, fileScheme); ok {
		content, err := readFile(path)
		if err != nil {
			return "", true, err
		}
		// Editors and echo end a file with a line break.
		secret = usher.Secret(strings.TrimRight(string(content), "\r\n"))
		if secret == "" {
			return "", true, fmt.Errorf("%s is empty", path)
		}
		return secret, true, nil
	}
	if name, ok := strings.CutPrefix(text, envScheme); ok {
		secret = usher.Secret(environ[name])
		if secret == "" {
			return "", true, fmt.Errorf("the environment variable %s is not set", name)
		}
		return secret, true, nil
	}
	return usher.Secret(text), false, nil
}
