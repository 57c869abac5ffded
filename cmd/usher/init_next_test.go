package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestTheNextCommandsCanBeCopied(t *testing.T) {
	const listening = "setpriv --reuid usher --regid $(id -g usher) --init-groups --inh-caps +net_bind_service --ambient-caps +net_bind_service -- "
	for name, tt := range map[string]struct {
		c         initCommand
		installed bool
		want      []string
	}{
		"a path with a blank": {initCommand{Config: "/my files/it's.yaml", Data: "/my files/data"}, false, []string{
			`usher doctor --config '/my files/it'\''s.yaml'`, `usher serve --config '/my files/it'\''s.yaml'`, "usher client add --data '/my files/data' --name my-app --api-key",
		}},
		"a host that is none": {initCommand{Config: "/c", URL: "https://$(id)';id;'", OperatorKey: true}, false, []string{
			"usher doctor --config /c", "usher serve --config /c", `curl 'https://$(id)'\'';id;'\''/api/v1/configuration' -H 'Authorization: Bearer <the API key>'`,
		}},
		"where there is a unit": {initCommand{Config: unitConfig, Data: "/var/lib/usher", User: "usher"}, true, []string{
			"runuser -u usher -- usher doctor --config /etc/usher/usher.yaml", "systemctl enable --now usher", "runuser -u usher -- usher client add --data /var/lib/usher --name my-app --api-key",
		}},
		"ports below 1024 and a unit": {initCommand{Config: unitConfig, Data: "/var/lib/usher", User: "usher", HTTP: ":80", HTTPS: ":443", URL: "https://localhost", OperatorKey: true}, true, []string{
			listening + "usher doctor --config /etc/usher/usher.yaml", "systemctl enable --now usher # with deploy/systemd/ports.conf: it listens on a port below 1024",
			"curl https://localhost/api/v1/configuration -H 'Authorization: Bearer <the API key>'",
		}},
		"a port below 1024": {initCommand{Config: "/srv/usher.yaml", Data: "/srv/usher", User: "usher", HTTP: "off", HTTPS: "127.0.0.1:443"}, false, []string{
			listening + "usher doctor --config /srv/usher.yaml", listening + "usher serve --config /srv/usher.yaml", "runuser -u usher -- usher client add --data /srv/usher --name my-app --api-key",
		}},
		"ports of anybody's": {initCommand{Config: "/srv/usher.yaml", Data: "/srv/usher", User: "usher", HTTP: ":8080", HTTPS: ":8443"}, false, []string{
			"runuser -u usher -- usher doctor --config /srv/usher.yaml", "runuser -u usher -- usher serve --config /srv/usher.yaml", "runuser -u usher -- usher client add --data /srv/usher --name my-app --api-key",
		}},
		"a unit for another": {initCommand{Config: "/srv/usher.yaml", Data: "/srv/usher"}, true, []string{
			"usher doctor --config /srv/usher.yaml", "usher serve --config /srv/usher.yaml", "usher client add --data /srv/usher --name my-app --api-key",
		}},
	} {
		if got := tt.c.next(tt.installed); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

// The server's user gets the folder, and can read the configuration.
func TestTheServersUserGetsTheFolder(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	p := newPlace(t)
	var out, errs bytes.Buffer
	env := environment{Stdout: &out, Stderr: &errs, Root: true}
	if status := run(t.Context(), p.args("--operator-key", "--user", me.Username), env); status != 0 {
		t.Fatalf("got status %d, printed %s", status, &errs)
	}
	if !strings.Contains(errs.String(), "runuser -u "+me.Username+" -- usher serve --config "+p.config) {
		t.Errorf("the server is not started as that user:\n%s", &errs)
	}
	other := newPlace(t)
	if status := run(t.Context(), other.args("--operator-key", "--user", "nobody-of-that-name"), env); status != 1 || !strings.Contains(errs.String(), "there is no user nobody-of-that-name") {
		t.Errorf("got status %d, printed %s", status, &errs)
	}
	other.untouched(t)
}

// It gets what a link leads to, too. Nobody but root can give anything away.
func TestTheServersUserGetsWhatALinkLeadsTo(t *testing.T) {
	who, err := user.Current()
	if err == nil && os.Geteuid() == 0 {
		who, err = user.Lookup("nobody")
	}
	if err != nil {
		t.Fatal(err)
	}
	p, real := newPlace(t), t.TempDir()
	if err := errors.Join(os.MkdirAll(filepath.Dir(p.data), 0o700), os.Symlink(real, p.data)); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	env := environment{Stdout: &out, Stderr: &errs, Root: true}
	if status := run(t.Context(), p.args("--operator-key", "--user", who.Username), env); status != 0 {
		t.Fatalf("got status %d, printed %s", status, &errs)
	}
	for _, name := range []string{"", databaseName, sealName} {
		info, err := os.Stat(filepath.Join(real, name))
		if err != nil {
			t.Fatal(err)
		}
		if owner := fmt.Sprint(info.Sys().(*syscall.Stat_t).Uid); owner != who.Uid {
			t.Errorf("%q belongs to %s, want %s", name, owner, who.Uid)
		}
	}
}

// For root what is usual is what the unit for systemd has.
func TestWhatIsUsualForRootIsWhereTheUnitLooks(t *testing.T) {
	unit, err := os.ReadFile("../../deploy/systemd/usher.service")
	if err != nil {
		t.Fatal(err)
	}
	q := new(initCommand).placeQuestions(environment{Root: true})
	for _, want := range []string{"serve --config " + q[0].usual + "\n", "StateDirectory=" + filepath.Base(q[1].usual) + "\n"} {
		if !strings.Contains(string(unit), want) {
			t.Errorf("the unit lacks %q", want)
		}
	}
	if q[1].usual != "/var/lib/usher" {
		t.Errorf("the folder is %s, want that of systemd", q[1].usual)
	}
}
