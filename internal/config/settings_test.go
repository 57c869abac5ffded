package config_test

import (
	"strings"
	"testing"

	"usher/internal/access"
	"usher/internal/config"
)

func TestTheSettingsInForceTellNoSecretAndWhereTheyAreFrom(t *testing.T) {
	const canary = "canary5CFd2fd1755d40ecb72977518b"
	path := write(t, `
server: {publicURL: "https://usher.example.com"}
agora: {appId: 970CA35de60c44645bbae8a215061b33, appCertificate: "env:CERTIFICATE"}
policy: {roles: {stage: [join]}}
issuers: [{issuer: "https://id.example", audiences: [usher]}]
`)
	c, _, err := config.Load(config.Options{
		Path: path, Environ: []string{"CERTIFICATE=5CFd2fd1755d40ecb72977518be15d3b", "USHER_TURN_SECRET=" + canary, "USHER_TURN_URLS=turn:turn.example:3478"},
		Flags: map[string]string{"data": "/var/lib/usher"},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]access.Setting)
	for _, s := range c.Settings() {
		got[s.Key] = s
		if strings.Contains(s.Value, canary) || strings.Contains(s.Value, "5CFd2fd1755d40ecb72977518be15d3b") {
			t.Errorf("%s tells a secret", s.Key)
		}
		if s.Doc == "" {
			t.Errorf("%s says nothing of what it is", s.Key)
		}
	}
	for key, want := range map[string]access.Setting{
		"server.publicURL":     {Value: "https://usher.example.com", Source: path + ", line 2"},
		"agora.appId":          {Value: "970CA35de60c44645bbae8a215061b33", Source: path + ", line 3"},
		"agora.appCertificate": {Value: "[secret]", Secret: true, Source: path + ", line 3"},
		"turn.secret":          {Value: "[secret]", Secret: true, Source: "USHER_TURN_SECRET"},
		"policy.roles":         {Value: "stage:\n- join", Source: path + ", line 4"},
		"data":                 {Value: "/var/lib/usher", Source: "command line"},
		"log.level":            {Value: "info"},
		"livekit.apiSecret":    {Secret: true},
	} {
		s := got[key]
		if s.Value != want.Value || s.Secret != want.Secret || s.Source != want.Source {
			t.Errorf("%s: got %q, secret %v, from %q; want %q, %v, %q", key, s.Value, s.Secret, s.Source, want.Value, want.Secret, want.Source)
		}
	}
	if issuers := got["issuers"]; !strings.Contains(issuers.Value, "issuer: https://id.example") || issuers.Source != path+", line 5" {
		t.Errorf("issuers: got %+v", issuers)
	}
	if _, ok := got["server.port"]; ok {
		t.Error("a short form is shown that is not in force")
	}
}
