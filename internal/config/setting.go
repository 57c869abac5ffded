package config

import (
	"encoding"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// setting is one value of a configuration and all the names that it has.
type setting struct {
	// path is the dotted key, as in server.publicURL.
	path string
	// env is the environment variable, as in USHER_SERVER_PUBLIC_URL.
	env string
	doc string
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
		if _, text := value.Addr().Interface().(encoding.TextUnmarshaler); value.Kind() == reflect.Struct && !text {
			list = appendSettings(list, path, value)
			continue
		}
		list = append(list, setting{path, envName(path), field.Tag.Get("doc"), options == "omitempty", value})
	}
	return list
}

func join(prefix, key string) string {
	if prefix == "" {
		return key
	}
	return prefix + "." + key
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
	switch p := s.value.Addr().Interface().(type) {
	case encoding.TextUnmarshaler:
		return p.UnmarshalText([]byte(text))
	case *string:
		*p = text
	case *bool:
		if text != "true" && text != "false" {
			return errors.New("must be true or false")
		}
		*p = text == "true"
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return errors.New("must be a whole number")
		}
		*p = n
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return errors.New("must be a duration such as 500ms, 30s or 24h")
		}
		*p = d
	case *[]string:
		*p = nil
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				*p = append(*p, item)
			}
		}
	default:
		panic("config: " + s.path + " has a type that can't be set: " + s.value.Type().String())
	}
	return nil
}

// text is the inverse of set, for people.
func (s setting) text() string {
	switch v := s.value.Interface().(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int:
		return strconv.Itoa(v)
	case []string:
		return strings.Join(v, ",")
	case interface{ String() string }:
		return v.String()
	default:
		panic("config: " + s.path + " has a type that can't be shown: " + s.value.Type().String())
	}
}
