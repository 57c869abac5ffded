package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// dotEnv lets a file of variables stand in for those that the environment
// lacks. What is wrong with it is a warning only: others make such files, and
// folders of the name, for purposes of their own.
func (l *loader) dotEnv(path string) {
	text, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		l.warnings = append(l.warnings, fmt.Sprintf("%s, and is passed over.", err))
		return
	}
	values, malformed := parseDotEnv(text)
	for name, value := range values {
		if _, real := l.environ[name]; !real && value != "" {
			l.environ[name] = value
			l.dotEnvOf[name] = path
		}
	}
	if len(malformed) > 0 {
		l.warnings = append(l.warnings, fmt.Sprintf("%s has what is not NAME=value, and is passed over: %s.", path, strings.Join(malformed, ", ")))
	}
}

// variable says where the value of an environment variable comes from.
func (l *loader) variable(name string) string {
	if path := l.dotEnvOf[name]; path != "" {
		return name + " in " + path
	}
	return name
}

// parseDotEnv reads lines of NAME=value, and returns which of them it can't
// read. Nothing in a value is replaced by other variables.
func parseDotEnv(text []byte) (values map[string]string, malformed []string) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	values = make(map[string]string)
	number := 0
	for full := range strings.Lines(string(text)) {
		number++
		entry := strings.TrimSpace(full)
		if entry == "" || entry[0] == '#' {
			continue
		}
		name, rest, found := strings.Cut(strings.TrimPrefix(entry, "export "), "=")
		name = strings.TrimSpace(name)
		value, ok := dotEnvValue(strings.TrimSpace(rest))
		if !found || !ok || !isVariable(name) {
			malformed = append(malformed, line(number))
			continue
		}
		values[name] = value
	}
	return values, malformed
}

// dotEnvValue reads what is behind the equals sign: text in single quotes as
// it stands, text in double quotes with backslashes, or text up to a comment.
func dotEnvValue(text string) (value string, ok bool) {
	if text == "" || text[0] != '\'' && text[0] != '"' {
		for i := range text {
			if text[i] == '#' && (i == 0 || text[i-1] == ' ' || text[i-1] == '\t') {
				return strings.TrimSpace(text[:i]), true
			}
		}
		return text, true
	}
	quote := text[0]
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == quote:
			rest := strings.TrimSpace(text[i+1:])
			return b.String(), rest == "" || rest[0] == '#'
		case c == '\\' && quote == '"' && i+1 < len(text):
			i++
			b.WriteString(unescape(text[i]))
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

// unescape returns what a backslash and c stand for.
func unescape(c byte) string {
	switch c {
	case 'n':
		return "\n"
	case 'r':
		return "\r"
	case 't':
		return "\t"
	case '"', '\\', '$':
		return string([]byte{c})
	default:
		return `\` + string([]byte{c})
	}
}

// isVariable reports whether text can name a variable (POSIX, XBD 8.1, and the
// lower case that many use).
func isVariable(text string) bool {
	for i, c := range []byte(text) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return text != ""
}
