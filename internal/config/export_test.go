package config

// Setting is what the tests need to know of a setting.
type Setting struct {
	Path, Env      string
	FileOnly, List bool
}

// Settings lists the settings of a [Config].
func Settings() []Setting {
	var list []Setting
	for _, s := range settingsOf(new(Config)) {
		_, isList := s.value.Interface().([]string)
		list = append(list, Setting{s.path, s.env, s.fileOnly(), isList})
	}
	return list
}

// ParseDotEnv reads the text of a file of variables.
var ParseDotEnv = parseDotEnv

// LoadInto fills any struct as [Load] fills a [Config], for what no section of
// Config has yet.
func LoadInto(root any, text string, environ []string, flags map[string]string) ([]string, error) {
	l := newLoader(root, environ)
	if err := l.file([]byte(text)); err != nil {
		return nil, err
	}
	l.environment()
	l.flags(flags)
	l.resolveSecrets()
	if len(l.problems) > 0 {
		return nil, &Error{Problems: l.problems}
	}
	return l.warnings, nil
}
