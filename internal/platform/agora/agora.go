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
	"slices"

	"usher"
	"usher/internal/platform"
)

// Name is the platform's name in configurations and credentials; that of a
// further project is "agora/<name>".
const Name = "agora"

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
	_ platform.Namer     = (*Platform)(nil)
	_ platform.Inspector = (*Platform)(nil)
)

// New returns the platform, or every mistake in its configuration.
func New(config Config) (*Platform, error) {
	var errs []error
	for _, problem := range config.validate() {
		errs = append(errs, fmt.Errorf("agora: %s", problem))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	p := &Platform{
		project: project{Name, config.AppID, config.AppCertificate, config.SecondaryCertificate},
		version: config.TokenVersion,
		random:  config.Random,
	}
	p.projects = []project{p.project}
	if p.version == "" {
		p.version = version007
	}
	if p.random == nil {
		p.random = rand.Reader
	}
	for _, name := range slices.Sorted(maps.Keys(config.Projects)) {
		c := config.Projects[name]
		p.projects = append(p.projects, project{Name + "/" + name, c.AppID, c.AppCertificate, c.SecondaryCertificate})
	}
	return p, nil
}

// Reader returns what recognises tokens without holding any certificate.
func Reader() *Platform { return &Platform{} }

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
