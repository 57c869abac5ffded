package agora_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"usher"
	"usher/internal/platform"
	"usher/internal/platform/agora"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 890_000_000, time.UTC)

// Another project, with both certificates.
const (
	classroomID        = "a1b2c3d4e5f60718293a4b5c6d7e8f90"
	classroomPrimary   = usher.Secret("0a1b2c3d4e5f60718293a4b5c6d7e8f9")
	classroomSecondary = usher.Secret("f0e1d2c3b4a5968778695a4b3c2d1e0f")
)

func config() agora.Config {
	return agora.Config{
		AppID: appID, AppCertificate: certificate,
		Projects: map[string]agora.ProjectConfig{
			"classroom": {AppID: classroomID, AppCertificate: classroomPrimary, SecondaryCertificate: classroomSecondary},
		},
	}
}

func newPlatform(t testing.TB) *agora.Platform {
	t.Helper()
	p, err := agora.New(config())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ordinary asks for a host's token for an hour.
func ordinary() platform.Request {
	return platform.Request{
		Grant: usher.Grant{
			Room: "test", Permissions: slices.Clone(usher.AllPermissions),
			NotBefore: now, Expires: now.Add(time.Hour),
		},
		Subject: "12345",
		Now:     now,
	}
}

func TestNewTellsEveryMistakeAndNoSecret(t *testing.T) {
	c := config()
	c.AppID = "not-hex"
	c.AppCertificate = "a-certificate-that-is-not-hex"
	c.TokenVersion = "008"
	c.Projects["Class Room"] = agora.ProjectConfig{AppID: classroomID, AppCertificate: another, SecondaryCertificate: another}
	_, err := agora.New(c)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"agora: tokenVersion: must be 007 or 006",
		"agora: appId: must be 32 hexadecimal digits",
		"agora: appCertificate: must be 32 hexadecimal digits",
		"agora: projects.Class Room: a name has lower-case letters",
		"agora: projects.Class Room.secondaryCertificate: must not be the same",
		"agora: projects.classroom.appId: another project has the same appId",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the errors lack %q:\n%v", want, err)
		}
	}
	for _, secret := range []string{"a-certificate", another.Reveal(), classroomPrimary.Reveal()} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("a certificate is in the errors:\n%v", err)
		}
	}
}

func TestNewRefusesSingleMistakes(t *testing.T) {
	for name, change := range map[string]func(*agora.Config){
		"no app id":                     func(c *agora.Config) { c.AppID = "" },
		"a short app id":                func(c *agora.Config) { c.AppID = c.AppID[1:] },
		"an app id in other digits":     func(c *agora.Config) { c.AppID = strings.Repeat("٣", 16) },
		"no certificate":                func(c *agora.Config) { c.AppCertificate = "" },
		"a certificate with a line end": func(c *agora.Config) { c.AppCertificate += "\n" },
		"the app id as certificate":     func(c *agora.Config) { c.AppCertificate = usher.Secret(c.AppID) },
		"a wrong secondary certificate": func(c *agora.Config) { c.SecondaryCertificate = "short" },
		"the same certificate twice":    func(c *agora.Config) { c.SecondaryCertificate = c.AppCertificate },
		"a version that is not one":     func(c *agora.Config) { c.TokenVersion = "7" },
		"a project without certificate": func(c *agora.Config) { c.Projects["x"] = agora.ProjectConfig{AppID: another.Reveal()} },
		"a project with a path for name": func(c *agora.Config) {
			c.Projects["../x"] = agora.ProjectConfig{AppID: another.Reveal(), AppCertificate: another}
		},
	} {
		c := config()
		change(&c)
		if _, err := agora.New(c); err == nil || !strings.HasPrefix(err.Error(), "agora: ") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestEachProjectIssuesWithItsOwnCertificate(t *testing.T) {
	p := newPlatform(t)
	projects := p.Projects()
	if len(projects) != 1 || projects["agora/classroom"] == nil {
		t.Fatalf("projects: %v", len(projects))
	}
	c, err := projects["agora/classroom"].Issue(t.Context(), ordinary())
	if err != nil {
		t.Fatal(err)
	}
	read := parse007(t, c.Token)
	if c.Platform != "agora/classroom" || read.AppID != classroomID || !read.Verify(classroomPrimary) {
		t.Errorf("the credential is of %s, for %s", c.Platform, read.AppID)
	}
	if c, err = p.Issue(t.Context(), ordinary()); err != nil {
		t.Fatal(err)
	}
	if read := parse007(t, c.Token); c.Platform != "agora" || read.AppID != appID || !read.Verify(certificate) {
		t.Errorf("the credential is of %s, for %s", c.Platform, read.AppID)
	}
}
