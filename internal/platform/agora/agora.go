// Package agora issues and reads tokens of Agora: AccessToken2, which begins
// with 007, and AccessToken, which begins with 006 and which old SDKs need.
//
// Both are an HMAC of a project's certificate over who may do what in which
// channel until when. Agora is never called.
package agora

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"

	"usher"
	"usher/internal/platform"
)

// Name is the platform's name in configurations and credentials; that of a
// further project is "agora/<name>".
const Name = "agora"

// Config is what [New] needs: one project of Agora's, and any number of others.
type Config struct {
	AppID                string                   `yaml:"appId" doc:"The app id of the project in Agora's console: 32 hexadecimal digits."`
	AppCertificate       usher.Secret             `yaml:"appCertificate" doc:"The project's primary certificate, which signs the tokens: 32 hexadecimal digits."`
	SecondaryCertificate usher.Secret             `yaml:"secondaryCertificate" doc:"The project's other certificate, if it has one: tokens that it signed are recognised, so that certificates can be exchanged one after the other."`
	TokenVersion         string                   `yaml:"tokenVersion" doc:"The format of tokens: 007, or 006 for SDKs older than 2022, which can be altered to be good for channels and users with similar names."`
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

// Platform issues tokens for one project, and reads those of every project
// that it was configured with. It is safe for concurrent use.
type Platform struct {
	project
	version  string
	random   io.Reader
	projects []project
}

// project is a project whose certificates we hold.
type project struct {
	name               string // as a platform: "agora", "agora/classroom"
	appID              string
	primary, secondary usher.Secret
}

var (
	_ platform.Platform  = (*Platform)(nil)
	_ platform.Inspector = (*Platform)(nil)
)

var projectName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// New returns the platform, or every mistake in its configuration.
func New(config Config) (*Platform, error) {
	p := &Platform{
		project: project{Name, config.AppID, config.AppCertificate, config.SecondaryCertificate},
		version: config.TokenVersion,
		random:  config.Random,
	}
	if p.version == "" {
		p.version = version007
	}
	if p.random == nil {
		p.random = rand.Reader
	}
	var errs []error
	if p.version != version007 && p.version != version006 {
		errs = append(errs, errors.New("agora: tokenVersion must be 007 or 006"))
	}
	p.projects = []project{p.project}
	errs = append(errs, p.check("agora: "))
	for _, name := range slices.Sorted(maps.Keys(config.Projects)) {
		c := config.Projects[name]
		other := project{Name + "/" + name, c.AppID, c.AppCertificate, c.SecondaryCertificate}
		where := fmt.Sprintf("agora: projects: %s: ", name)
		if !projectName.MatchString(name) {
			errs = append(errs, errors.New(where+"a name has lower-case letters, digits and hyphens only"))
		}
		if slices.ContainsFunc(p.projects, func(q project) bool { return q.appID == other.appID }) {
			errs = append(errs, errors.New(where+"another project has the same appId"))
		}
		errs = append(errs, other.check(where))
		p.projects = append(p.projects, other)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p, nil
}

// check returns every mistake in a project.
func (q project) check(where string) error {
	var errs []error
	if !isHex(q.appID) {
		errs = append(errs, errors.New(where+"appId must be 32 hexadecimal digits, as Agora's console shows it"))
	}
	if !isHex(q.primary.Reveal()) {
		errs = append(errs, errors.New(where+"appCertificate must be 32 hexadecimal digits, as Agora's console shows it"))
	}
	if q.secondary != "" && !isHex(q.secondary.Reveal()) {
		errs = append(errs, errors.New(where+"secondaryCertificate must be 32 hexadecimal digits, as Agora's console shows it"))
	}
	if q.secondary == q.primary && q.primary != "" {
		errs = append(errs, errors.New(where+"secondaryCertificate must not be the same as appCertificate"))
	}
	if q.primary != "" && q.appID == q.primary.Reveal() {
		errs = append(errs, errors.New(where+"appCertificate must not be the same as appId"))
	}
	return errors.Join(errs...)
}

// Projects returns a platform for each further project, by its name as a
// platform: "agora/classroom".
func (p *Platform) Projects() map[string]*Platform {
	others := make(map[string]*Platform)
	for _, q := range p.projects {
		if q.name != Name {
			other := *p
			other.project = q
			others[q.name] = &other
		}
	}
	return others
}

// AppID returns the app id of the project, which clients join with.
func (p *Platform) AppID() string { return p.appID }
