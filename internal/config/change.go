package config

import (
	"reflect"
	"slices"
	"strings"
)

// live are the settings, or the sections of settings, that can change while a
// server runs.
var live = []string{
	"issuers", "session", "operators", "policy", "limits", "webhooks", "log.level",
	"vpaas", "agora", "janus", "livekit", "turn",
}

// fixed are settings within those that can't.
var fixed = []string{
	"policy.maxLifetime", // by which signing keys are kept
	"vpaas.apiAddress",   // by which we are our own VPaaS or not
}

// Change returns the configuration that a running server goes on with when next
// was loaded: next's in what can change while it runs, and the rest as it was. It
// also returns the keys of what has changed, and of what needs a restart to.
// What lies below one of held can't change, either.
func (c Config) Change(next Config, held ...string) (_ Config, changed, restart []string) {
	held = append(held, c.bound(next)...)
	signsIn, _ := c.WebIssuer()
	if c.Sources = next.Sources; c.Dev != next.Dev || c.OnLambda != next.OnLambda {
		restart = append(restart, "mode")
	}
	theirs := settingsOf(&next)
	for i, ours := range settingsOf(&c) {
		if reflect.DeepEqual(ours.value.Interface(), theirs[i].value.Interface()) {
			continue
		}
		if !within(ours.path, live) || within(ours.path, fixed) || within(ours.path, held) {
			restart = append(restart, ours.path)
			continue
		}
		ours.value.Set(theirs[i].value)
		changed = append(changed, ours.path)
	}
	// The page was made for one issuer, and its policy, too.
	after, _ := c.WebIssuer()
	if (signsIn.Issuer != after.Issuer || !slices.Equal(signsIn.TokenUse, after.TokenUse)) && !slices.Contains(restart, "web.issuer") {
		restart = append(restart, "web.issuer")
	}
	return c, changed, restart
}

// bound returns the sections that belong to something that changes only with a
// restart: half of it would fit neither what was nor what shall be.
func (c Config) bound(next Config) []string {
	var held []string
	if c.VPaaS.APIAddress != next.VPaaS.APIAddress {
		held = append(held, "vpaas") // it has what this server is known by there
	}
	if c.TURNServer.Enabled() || next.TURNServer.Enabled() {
		held = append(held, "turn") // it says where the embedded server is, with the secret that it was started with
	}
	return held
}

func within(path string, sections []string) bool {
	return slices.ContainsFunc(sections, func(section string) bool {
		return path == section || strings.HasPrefix(path, section+".")
	})
}
