package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// setting is one value of a configuration and all the names that it has.
type setting struct {
	// path is the dotted key, as in server.publicURL or issuers[0].issuer.
	path string
	// short is the path of the section that stands for the setting where it has
	// a value of its own; empty for most.
	short string
	// env is the environment variable, as in USHER_SERVER_PUBLIC_URL; empty for
	// what belongs to one section of a list.
	env string
	// further is another variable of the same meaning, which programs that we
	// replace have; empty for most.
	further string
	doc     string
	// optional settings are not in force at their zero value.
	optional bool
	value    reflect.Value
}

// envPrefix begins the name of every environment variable of ours.
const envPrefix = "USHER_"

// settingsOf returns the settings of the struct that root points to, in order.
func settingsOf(root any) []setting {
	return appendSettings(nil, "", reflect.ValueOf(root).Elem())
}

func appendSettings(list []setting, prefix string, section reflect.Value) []setting {
	for i := range section.NumField() {
		field := section.Type().Field(i)
		key, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if key == "-" {
			continue
		}
		path, value := join(prefix, key), section.Field(i)
		if value.Kind() != reflect.Struct || isText(value) {
			list = append(list, setting{
				path: path, env: envName(path), further: field.Tag.Get("env"), doc: field.Tag.Get("doc"), optional: options == "omitempty", value: value,
			})
			continue
		}
		first := len(list)
		list = appendSettings(list, path, value)
		for j := range list[first:] {
			if s := &list[first+j]; s.path == join(path, field.Tag.Get("short")) {
				s.short = path
			}
		}
	}
	return list
}

// settingsOfElement returns the settings of one section of a list, or of one
// that people have named. What they stand for where nothing is said is for
// their documentation to say.
func settingsOfElement(path string, element reflect.Value) []setting {
	list := appendSettings(nil, path, element)
	for i, s := range list {
		list[i].env, list[i].further = "", ""
		list[i].optional = s.value.Kind() != reflect.Bool
	}
	return list
}

// isText reports whether a value is read from text as a whole.
func isText(value reflect.Value) bool {
	_, ok := value.Addr().Interface().(encoding.TextUnmarshaler)
	return ok
}

// isMap reports whether the setting is a section whose keys people choose.
func (s setting) isMap() bool { return s.value.Kind() == reflect.Map }

// isSections reports whether the setting is a list of sections.
func (s setting) isSections() bool {
	return s.value.Kind() == reflect.Slice && s.value.Type().Elem().Kind() == reflect.Struct
}

// parts is the path of the sections that the setting is made of, as people write
// of it, and their type; a setting that is made of none has no type.
func (s setting) parts() (path string, element reflect.Type) {
	switch {
	case s.isSections():
		return s.path + "[]", s.value.Type().Elem()
	case s.isMap() && s.value.Type().Elem().Kind() == reflect.Struct && !isText(reflect.New(s.value.Type().Elem()).Elem()):
		return s.path + ".NAME", s.value.Type().Elem()
	}
	return "", nil
}

// fileOnly reports whether the setting is of a form that only a file has.
func (s setting) fileOnly() bool { return s.isMap() || s.isSections() }

func join(prefix, key string) string {
	if prefix == "" {
		return key
	}
	return prefix + "." + key
}

// index is the path of one entry of a list.
func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// parent returns the path of what the setting at path is a part of, or "".
func parent(path string) string { return path[:max(0, strings.LastIndexAny(path, ".["))] }

// below reports whether path is that of top or of a part of it.
func below(path, top string) bool {
	rest, ok := strings.CutPrefix(path, top)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// envName turns vpaas.apiAddress into USHER_VPAAS_API_ADDRESS.
func envName(path string) string {
	var b strings.Builder
	b.WriteString(envPrefix)
	lower := false
	for _, r := range path {
		switch {
		case r == '.':
			b.WriteByte('_')
		case unicode.IsUpper(r) && lower:
			b.WriteByte('_')
			fallthrough
		default:
			b.WriteRune(unicode.ToUpper(r))
		}
		lower = unicode.IsLower(r)
	}
	return b.String()
}

// set reads text into the setting. The error is half a sentence, and does not
// repeat the text, which may be a secret in the wrong place.
func (s setting) set(text string) error {
	if s.fileOnly() {
		return errors.New("can only be given in a file")
	}
	switch p := s.value.Addr().Interface().(type) {
	case encoding.TextUnmarshaler:
		return p.UnmarshalText([]byte(text))
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return errors.New("must be a duration such as 500ms, 30s or 24h")
		}
		*p = d
		return nil
	case *[]string:
		*p = nil
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				*p = append(*p, item)
			}
		}
		return nil
	}
	switch s.value.Kind() {
	case reflect.String:
		s.value.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return errors.New("must be true or false")
		}
		s.value.SetBool(text == "true")
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, s.value.Type().Bits())
		if err != nil {
			return errors.New("must be a whole number")
		}
		s.value.SetInt(n)
	default:
		panic("config: " + s.path + " has a type that can't be set: " + s.value.Type().String())
	}
	return nil
}

// text is the inverse of set, for people.
func (s setting) text() string {
	switch v := s.value.Interface().(type) {
	case []string:
		return strings.Join(v, ",")
	case fmt.Stringer:
		return v.String()
	}
	switch {
	case s.fileOnly() && s.value.Len() == 0:
		return ""
	case s.value.Kind() == reflect.String:
		return s.value.String()
	case s.value.Kind() == reflect.Bool:
		return strconv.FormatBool(s.value.Bool())
	case s.value.CanInt():
		return strconv.FormatInt(s.value.Int(), 10)
	default:
		panic("config: " + s.path + " has a type that can't be shown: " + s.value.Type().String())
	}
}
