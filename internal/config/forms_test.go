package config_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher/internal/access"
	"usher/internal/config"
	"usher/internal/identity"
	"usher/internal/limit"
)

func TestSectionsInListsAndSectionsOfNames(t *testing.T) {
	c, warnings := load(t, config.Options{Dev: true, Path: write(t, `
issuers:
  - issuer: https://id.example.com
    audiences: [usher, "7"]
    leeway: 1m
    claims: {groups: realm_access.roles}
  - {issuer: "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_a", kind: cognito, clientIds: [0123], trustEmail: true}
policy:
  roles:
    on stage: [publish_audio, join]
    "1": []
limits:
  clients:
    euopeke6qei65m5prjcvnqv2lq: 5000/1m
`)})
	want := config.Dev()
	want.Issuers = []identity.IssuerConfig{
		{
			Issuer: "https://id.example.com", Audiences: []string{"usher", "7"}, Leeway: time.Minute,
			Claims: identity.ClaimNames{Groups: "realm_access.roles"},
		},
		{Issuer: "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_a", Kind: identity.Cognito, ClientIDs: []string{"0123"}, TrustEmail: true},
	}
	want.Policy.Roles = map[string][]string{"on stage": {"publish_audio", "join"}, "1": nil}
	want.Limits.Clients = map[string]limit.Rate{"euopeke6qei65m5prjcvnqv2lq": {Count: 5000, Per: time.Minute}}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
	if len(warnings) > 0 {
		t.Errorf("warnings = %q", warnings)
	}
}

func TestFormsThatHoldNothingAreAsIfNotThere(t *testing.T) {
	for _, text := range []string{
		"issuers: []", "policy: {roles: {}}", "policy: {roles: }", "limits: {clients: {}}", "limits:\n  clients:\n#   a: 1/1s\n", "audit:", "audit: {}",
	} {
		t.Run(text, func(t *testing.T) {
			c, _ := load(t, config.Options{Dev: true, Path: write(t, text)})
			if diff := cmp.Diff(config.Dev(), c); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnAuditInShort(t *testing.T) {
	for text, want := range map[string]access.RecordConfig{
		"audit: strict":                  {Audit: access.Strict, KeepFor: 720 * time.Hour, KeepBytes: 1 << 30},
		"audit: {mode: strict}":          {Audit: access.Strict, KeepFor: 720 * time.Hour, KeepBytes: 1 << 30},
		"audit:\n  keepFor: 24h\n":       {Audit: access.Batched, KeepFor: 24 * time.Hour, KeepBytes: 1 << 30},
		`{"audit": "batched"}`:           {Audit: access.Batched, KeepFor: 720 * time.Hour, KeepBytes: 1 << 30},
		"audit: {keepBytes: 8589934592}": {Audit: access.Batched, KeepFor: 720 * time.Hour, KeepBytes: 8 << 30},
	} {
		t.Run(text, func(t *testing.T) {
			c, _ := load(t, config.Options{Dev: true, Path: write(t, text)})
			if diff := cmp.Diff(want, c.Record); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMistakesInOtherForms(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"all of a list at once": {
			`
issuers:
  - issuer: https://a.example
    clientIDs: [a]
    audience: [b]
    audiences: [c]
    leeway: soon
    trustEmail: maybe
  -
    issuer: b.example
    claims:
      group: x
  - issuer: https://a.example
    audiences: [c]
    leeway: 1h
  - text
`,
			[]string{
				"issuers[0].clientIDs: unknown key (line 4); did you mean issuers[0].clientIds?",
				"issuers[0].audience: unknown key (line 5); did you mean issuers[0].audiences?",
				"issuers[0].leeway: must be a duration such as 500ms, 30s or 24h (line 7)",
				"issuers[0].trustEmail: must be true or false (line 8)",
				"issuers[1].claims.group: unknown key (line 12); did you mean issuers[1].claims.groups?",
				"issuers[3]: must be a section with keys (line 16)",
				"issuers[1].issuer: must be an absolute URL that begins with https:// or http://, without user, query and fragment (line 10)",
				"issuers[1].clientIds: must be set, or audiences: else a token for any app would do (line 10)",
				"issuers[2].leeway: must be from 0s to 5m0s (line 15)",
				"issuers[2].issuer: is in the list twice; one entry can have several clientIds and audiences (line 13)",
			},
		},
		"all of a section of names at once": {
			`
policy:
  roles:
    king: [rule, join]
    queen: join
    queen: [join]
    a.b: [join]
    "": [join]
    host: [join]
    prince: [[join]]
limits:
  clients:
    alice: 1/1s
    euopeke6qei65m5prjcvnqv2lq: often
    euopeke6qei65m5prjcvnqv2lr: [1/1s]
  mint: 10
`,
			[]string{
				"policy.roles.queen: must be a list (line 5)",
				"policy.roles.queen: is given twice (line 5 and line 6)",
				`policy.roles."a.b": must be a name without dots and quotes, of characters that can be seen (line 7)`,
				`policy.roles."": must be a name without dots and quotes, of characters that can be seen (line 8)`,
				"policy.roles.prince: each of the list must be a single value (line 10)",
				"limits.clients.euopeke6qei65m5prjcvnqv2lq: must be a count and a time, such as 60/1m, or 0 for no limit (line 14)",
				"limits.clients.euopeke6qei65m5prjcvnqv2lr: must be a single value (line 15)",
				"limits.mint: must be a count and a time, such as 60/1m, or 0 for no limit (line 16)",
				"policy.roles.host: is a role that always exists; choose another name (line 9)",
				`policy.roles.king: unknown permission "rule": want one of join subscribe publish_audio publish_video publish_screen publish_data moderate (line 4)`,
				"limits.clients.alice: is not the id of a client, as usher client list shows it (line 13)",
			},
		},
		"every entry of a list that is wrong": {
			"operators:\n  - alice\n  - bob\nserver:\n  origins:\n    - https://a.example\n    - b.example\n  trustedProxies:\n    - proxy\n",
			[]string{
				"server.origins[1]: must be an origin as browsers write it, such as https://app.example.com: in lower case, with the port if it is not the usual one, and nothing behind (line 7)",
				"server.trustedProxies[0]: must be an address or a network, such as 192.0.2.7 or 10.0.0.0/8 (line 9)",
				`operators: "alice" is none of client:ID, user:ISSUER#SUBJECT and group:ISSUER#NAME (line 2)`,
				`operators: "bob" is none of client:ID, user:ISSUER#SUBJECT and group:ISSUER#NAME (line 2)`,
			},
		},
		"a section in place of a list":   {"issuers: {issuer: a}\n", []string{"issuers: must be a list (line 1)"}},
		"a list in place of a section":   {"policy: {roles: [a]}\n", []string{"policy.roles: must be a section with names and values (line 1)"}},
		"a list of lists":                {"issuers: [[a]]\n", []string{"issuers[0]: must be a section with keys (line 1)"}},
		"an alias in a list":             {"issuers: [*a]\n", []string{"issuers[0]: must be a section with keys (line 1)"}},
		"a merge in a section of names":  {"limits:\n  clients:\n    <<: {a: 1/1s}\n", []string{"limits.clients.?: the key must be written out: anchors, aliases, merges and tags are not read (line 3)"}},
		"an audit in short that is none": {"audit: often\n", []string{"audit.mode: must be batched or strict (line 1)"}},
		"an audit that is a list":        {"audit: [strict]\n", []string{"audit.mode: must be a single value (line 1)"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, problems(t, config.Options{Dev: true, Path: write(t, tc.text)})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatOnlyAFileHas(t *testing.T) {
	got := problems(t, config.Options{
		Dev: true, Environ: []string{"USHER_ISSUERS=https://a.example"}, Flags: map[string]string{"policy.roles": "king", "issuers[0].issuer": "a"},
	})
	want := []string{
		"issuers: can only be given in a file (USHER_ISSUERS)",
		"policy.roles: can only be given in a file (command line)",
		"issuers[0].issuer: unknown key (command line)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAMistakeNamesTheSourceThatMadeIt(t *testing.T) {
	got := problems(t, config.Options{
		Dev: true, Path: write(t, "server:\n  origins:\n    - https://a.example\n"), Environ: []string{"USHER_SERVER_ORIGINS=b.example"},
	})
	want := []string{"server.origins[0]: must be an origin as browsers write it, such as https://app.example.com: " +
		"in lower case, with the port if it is not the usual one, and nothing behind (USHER_SERVER_ORIGINS)"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDevelopmentHasNoLimits(t *testing.T) {
	if diff := cmp.Diff(limit.Config{}, config.Dev().Limits); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(limit.DefaultConfig(), config.Default().Limits); diff != "" {
		t.Error(diff)
	}
}
