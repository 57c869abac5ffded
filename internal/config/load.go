package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"usher"
)

// Options say where a configuration comes from. Each source overrides those
// before it.
type Options struct {
	// Dev starts from [Dev] instead of [Default], and OnLambda from [OnLambda].
	Dev, OnLambda bool
	// Path is the file, YAML or JSON; empty is none.
	Path string
	// Text is what the file has, for one that is not written yet; nil is to read it.
	Text []byte
	// Environ is the environment as os.Environ returns it. A variable without a
	// value counts as not set.
	Environ []string
	// DotEnv is a file of variables that the environment lacks, one NAME=value
	// a line. It is read in development mode only, so that no file which happens
	// to be there changes another server. Empty is none, as is no such file.
	DotEnv string
	// Flags are values of the command line by dotted key, as in "server.http".
	Flags map[string]string
}

// Error lists every mistake in a configuration.
type Error struct {
	// Path is the file that the configuration comes from, if any.
	Path     string
	Problems []usher.FieldProblem
}

// Error returns one line for each mistake.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("config: ")
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	if len(e.Problems) == 1 {
		b.WriteString(e.Problems[0].String())
		return b.String()
	}
	fmt.Fprintf(&b, "%d mistakes", len(e.Problems))
	for _, p := range e.Problems {
		b.WriteString("\n  " + p.String())
	}
	return b.String()
}

// Load reads and checks a configuration. It returns what is allowed but unwise
// as warnings, one sentence each, and all mistakes at once as an [*Error].
func Load(o Options) (Config, []string, error) {
	c := Default()
	switch {
	case o.Dev:
		c = Dev()
	case o.OnLambda:
		c = OnLambda()
	}
	l := newLoader(&c, o.Environ)
	if o.Dev && o.DotEnv != "" {
		l.dotEnv(o.DotEnv)
	}
	if o.Path != "" {
		text := o.Text
		if text == nil {
			var err error
			if text, err = readFile(o.Path); err != nil {
				return Config{}, nil, &Error{Problems: []usher.FieldProblem{{Field: "file", Message: err.Error()}}}
			}
		}
		if err := l.file(text); err != nil {
			return Config{}, nil, &Error{o.Path, []usher.FieldProblem{{Field: "file", Message: err.Error()}}}
		}
		l.usePort(&c)
	}
	if o.Dev {
		l.developmentPort()
	}
	l.environment()
	l.usePort(&c)
	l.flags(o.Flags)
	l.usePort(&c)
	l.resolveSecrets()

	c.useUserPool()
	c.Server.PublicURL = strings.TrimSuffix(c.Server.PublicURL, "/")
	c.VPaaS.APIAddress = strings.TrimSuffix(c.VPaaS.APIAddress, "/")
	l.invalid(c.Validate()...)
	if len(l.problems) > 0 {
		return Config{}, nil, &Error{o.Path, l.problems}
	}
	c.Sources = l.sources(o.Path)
	return c, append(l.warnings, c.warnings()...), nil
}

// maxFile is in bytes, far beyond any configuration or secret.
const maxFile = 1 << 20

// readFile reads a file that a person named. The error begins with its path.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, named(path, err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, named(path, err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, maxFile)
	}
	return text, nil
}

// named spares people the system call.
func named(path string, err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		err = p.Err
	}
	return fmt.Errorf("%s can't be read: %w", path, err)
}

// loader fills the settings of a configuration, one source after the other.
type loader struct {
	settings []setting
	environ  map[string]string
	// dotEnvOf names the file that a variable is from, if it is from one.
	dotEnvOf map[string]string
	// origin says which source each setting has its value from; those that are
	// silent have none.
	origin map[string]string
	// named are the sections that people have named, to be put into their maps
	// when they are complete.
	named []namedSection
	// given are the settings that the last source named.
	given    map[string]bool
	problems []usher.FieldProblem
	warnings []string
}

func newLoader(root any, environ []string) *loader {
	l := &loader{
		settings: settingsOf(root),
		environ:  make(map[string]string),
		dotEnvOf: make(map[string]string),
		origin:   make(map[string]string),
		given:    make(map[string]bool),
	}
	for _, entry := range environ {
		if name, value, _ := strings.Cut(entry, "="); value != "" {
			l.environ[name] = value
		}
	}
	return l
}

func (l *loader) problem(path, format string, args ...any) {
	l.problems = append(l.problems, usher.FieldProblem{Field: path, Message: fmt.Sprintf(format, args...)})
}

// set gives the setting the value that origin has for it.
func (l *loader) set(s setting, text, origin string) {
	l.given[s.path] = true
	maps.DeleteFunc(l.origin, func(path, _ string) bool { return below(path, s.path) })
	l.origin[s.path] = origin
	if err := s.set(text); err != nil {
		l.problem(s.path, "%s (%s)", err, origin)
	}
}

// invalid adds problems of values that were read, and says where they were
// read. One of a value that could not even be read adds nothing.
func (l *loader) invalid(problems ...usher.FieldProblem) {
	unread := l.problems
	for _, p := range problems {
		if slices.ContainsFunc(unread, func(q usher.FieldProblem) bool { return below(p.Field, q.Field) }) {
			continue
		}
		if origin := l.originOf(p.Field); origin != "" {
			p.Message += " (" + origin + ")"
		}
		l.problems = append(l.problems, p)
	}
}

// originOf returns where the setting was given, or else the list that it is in.
func (l *loader) originOf(path string) string {
	for ; path != ""; path = parent(path) {
		if origin := l.origin[path]; origin != "" {
			return origin
		}
	}
	return ""
}

// environment is the source of values in variables. An unknown variable of our
// prefix gets a warning only, and only when it looks like one of ours: others
// make such names too, as Kubernetes does for every service.
func (l *loader) environment() {
	var known []string // without the prefix, which says nothing about what is near
	for _, s := range l.settings {
		if s.env == "" {
			continue
		}
		known = append(known, strings.TrimPrefix(s.env, envPrefix))
		if name, ours := strings.CutPrefix(s.further, envPrefix); ours {
			known = append(known, name)
		}
		if name := l.nameOf(s); name != "" {
			l.set(s, l.environ[name], l.variable(name))
		}
	}
	for _, full := range slices.Sorted(maps.Keys(l.environ)) {
		name, ours := strings.CutPrefix(full, envPrefix)
		if !ours || slices.Contains(known, name) {
			continue
		}
		if near := nearest(name, known); near != "" {
			l.warnings = append(l.warnings, fmt.Sprintf("The environment variable %s means nothing to us; did you mean %s%s?", full, envPrefix, near))
		}
	}
}

// nameOf returns the variable that has a value for the setting, or "". Our own
// name comes first.
func (l *loader) nameOf(s setting) string {
	for _, name := range []string{s.env, s.further} {
		if _, ok := l.environ[name]; ok && name != "" {
			return name
		}
	}
	return ""
}

// developmentPort reads the variable by which servers of small projects are told
// their port.
func (l *loader) developmentPort() {
	port, ok := l.environ["PORT"]
	if !ok {
		return
	}
	for _, s := range l.settings {
		if s.path == "server.http" {
			l.set(s, "localhost:"+port, l.variable("PORT"))
		}
	}
}

const fromFlags = "command line"

// flags is the source of values of the command line.
func (l *loader) flags(values map[string]string) {
	known := make(map[string]bool)
	for _, s := range l.settings {
		known[s.path] = true
		if text, ok := values[s.path]; ok {
			l.set(s, text, fromFlags)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(values)) {
		if !known[path] {
			l.problem(path, "unknown key (%s)", fromFlags)
		}
	}
}

// usePort turns the port that the last source gave into the address that it is
// short for, so that a source overrides those before it whichever of the two
// forms they use.
func (l *loader) usePort(c *Config) {
	const port, https = "server.port", "server.https"
	if l.given[port] {
		switch {
		case l.given[https]:
			l.problem(port, "says the same as %s; keep one of them (%s)", https, l.origin[port])
		case c.Server.Port < 1 || c.Server.Port > 65535:
			l.invalid(usher.FieldProblem{Field: port, Message: "must be from 1 to 65535"})
		default:
			c.Server.HTTPS = ":" + strconv.Itoa(c.Server.Port)
			if c.Dev {
				c.Server.HTTPS = "localhost" + c.Server.HTTPS
			}
			l.origin[https] = l.origin[port]
		}
	}
	c.Server.Port = 0
	clear(l.given)
}

// namedSection is a section that has a name of people's choice.
type namedSection struct{ into, name, section reflect.Value }

// resolveSecrets fetches what the secrets refer to.
func (l *loader) resolveSecrets() {
	for _, s := range l.settings {
		secret, ok := s.value.Addr().Interface().(*usher.Secret)
		if !ok || *secret == "" {
			continue
		}
		text, kept, err := fetchSecret(secret.Reveal(), l.environ)
		if err != nil {
			l.invalid(usher.FieldProblem{Field: s.path, Message: err.Error()})
		}
		*secret = text
		if name := l.nameOf(s); !kept && (name == "" || l.origin[s.path] != l.variable(name)) {
			l.warnings = append(l.warnings, fmt.Sprintf("%s is written out (%s); keep it in a file and write file:PATH, or in a variable and write env:NAME.", s.path, l.origin[s.path]))
		}
	}
	for _, n := range l.named {
		n.into.SetMapIndex(n.name, n.section)
	}
}
