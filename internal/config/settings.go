package config

import (
	"strings"

	"github.com/goccy/go-yaml"

	"usher"
	"usher/internal/access"
)

// Settings returns every setting that is in force, with its secrets hidden, in
// the order of the documentation. What is made of sections is YAML.
func (c Config) Settings() []access.Setting {
	var list []access.Setting
	for _, s := range settingsOf(&c) {
		if s.optional && s.value.IsZero() {
			continue
		}
		_, secret := s.value.Interface().(usher.Secret)
		list = append(list, access.Setting{
			Key: s.path, Value: s.yaml(), Secret: secret, Source: c.sourceOf(s), Doc: s.doc,
		})
	}
	return list
}

// yaml is the setting's value as people read it. Secrets write a placeholder.
func (s setting) yaml() string {
	if !s.fileOnly() {
		return s.text()
	}
	if s.value.Len() == 0 {
		return ""
	}
	text, err := yaml.Marshal(s.value.Interface())
	if err != nil {
		return "it can't be shown"
	}
	return strings.TrimSuffix(string(text), "\n")
}

// sourceOf says where a setting was given, or where one of its parts was; it is
// empty where the value is the default.
func (c Config) sourceOf(s setting) string {
	for path := s.path; path != ""; path = parent(path) {
		if source := c.Sources[path]; source != "" {
			return source
		}
	}
	return ""
}

// sources are where the values are from, as a person is told.
func (l *loader) sources(file string) map[string]string {
	if len(l.origin) == 0 {
		return nil
	}
	sources := make(map[string]string, len(l.origin))
	for path, origin := range l.origin {
		if strings.HasPrefix(origin, lineWord) {
			origin = file + ", " + origin
		}
		sources[path] = origin
	}
	return sources
}
