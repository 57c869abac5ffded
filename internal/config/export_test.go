package config

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
