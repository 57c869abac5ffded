package agora

import (
	"io"
	"maps"
	"regexp"
	"slices"

	"usher"
)

// Config is what [New] needs: one project of Agora's, and any number of others.
type Config struct {
	AppID                string                   `yaml:"appId" env:"APP_ID" doc:"The app id of the project in Agora's console: 32 hexadecimal digits."`
	AppCertificate       usher.Secret             `yaml:"appCertificate" env:"APP_CERTIFICATE" doc:"The project's primary certificate, which signs the tokens: 32 hexadecimal digits."`
	SecondaryCertificate usher.Secret             `yaml:"secondaryCertificate" doc:"The project's other certificate, if it has one: tokens that it signed are recognised, so that certificates can be exchanged one after the other."`
	TokenVersion         string                   `yaml:"tokenVersion" env:"AGORA_TOKEN_VERSION" doc:"The format of tokens: 007, or 006 for SDKs older than 2022, which can be altered to be good for channels and users with similar names."`
	Projects             map[string]ProjectConfig `yaml:"projects" doc:"Further projects by name; the one named classroom is the platform agora/classroom."`

	// Random is where salts come from; nil is crypto/rand.
	Random io.Reader `yaml:"-"`
}

// ProjectConfig is one more project.
type ProjectConfig struct {
	AppID                string       `yaml:"appId" doc:"The project's app id."`
	AppCertificate       usher.Secret `yaml:"appCertificate" doc:"The project's primary certificate."`
	SecondaryCertificate usher.Secret `yaml:"secondaryCertificate" doc:"The project's other certificate, if it has one."`
}

// Enabled reports whether a project is configured at all.
func (c Config) Enabled() bool {
	return c.AppID != "" || c.AppCertificate != "" || c.SecondaryCertificate != "" || len(c.Projects) > 0
}

var projectName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// Validate returns what is wrong with the configuration, field by field. One
// that says nothing is in order: there is no Agora.
func (c Config) Validate() []usher.FieldProblem {
	if !c.Enabled() {
		return c.checkVersion()
	}
	return c.validate()
}

func (c Config) validate() []usher.FieldProblem {
	problems := c.checkVersion()
	problems = append(problems, checkProject("", ProjectConfig{c.AppID, c.AppCertificate, c.SecondaryCertificate})...)
	taken := []string{c.AppID}
	for _, name := range slices.Sorted(maps.Keys(c.Projects)) {
		p, path := c.Projects[name], "projects."+name
		if !projectName.MatchString(name) {
			problems = append(problems, usher.FieldProblem{Field: path, Message: "a name has lower-case letters, digits and hyphens only"})
		}
		if slices.Contains(taken, p.AppID) {
			problems = append(problems, usher.FieldProblem{Field: path + ".appId", Message: "another project has the same appId"})
		}
		taken = append(taken, p.AppID)
		problems = append(problems, checkProject(path+".", p)...)
	}
	return problems
}

func (c Config) checkVersion() []usher.FieldProblem {
	if c.TokenVersion == "" || c.TokenVersion == version007 || c.TokenVersion == version006 {
		return nil
	}
	return []usher.FieldProblem{{Field: "tokenVersion", Message: "must be 007 or 006"}}
}

// checkProject returns every mistake in a project, whose fields begin with the
// prefix.
func checkProject(prefix string, p ProjectConfig) []usher.FieldProblem {
	var problems []usher.FieldProblem
	check := func(field string, ok bool, message string) {
		if !ok {
			problems = append(problems, usher.FieldProblem{Field: prefix + field, Message: message})
		}
	}
	const form = "must be 32 hexadecimal digits, as Agora's console shows it"
	primary, secondary := p.AppCertificate, p.SecondaryCertificate
	check("appId", isHex(p.AppID), form)
	check("appCertificate", isHex(primary.Reveal()), form)
	check("appCertificate", primary == "" || p.AppID != primary.Reveal(), "must not be the same as appId")
	check("secondaryCertificate", secondary == "" || isHex(secondary.Reveal()), form)
	check("secondaryCertificate", secondary == "" || secondary != primary, "must not be the same as appCertificate")
	return problems
}
