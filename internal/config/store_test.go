package config_test

import (
	"strings"
	"testing"

	"usher/internal/config"
	"usher/internal/identity"
)

func TestTheStoreIsChecked(t *testing.T) {
	for name, tt := range map[string]struct {
		edit func(*config.Store)
		want []string
	}{
		"the default":             {func(*config.Store) {}, nil},
		"dynamodb":                {func(s *config.Store) { s.Driver = config.DynamoDB }, nil},
		"no store that there is":  {func(s *config.Store) { s.Driver = "redis" }, []string{"driver"}},
		"an endpoint with a path": {func(s *config.Store) { s.Endpoint = "http://127.0.0.1:8000/db" }, []string{"endpoint"}},
		"an endpoint of nothing":  {func(s *config.Store) { s.Endpoint = "localhost:8000" }, []string{"endpoint"}},
		"an issuer of a file":     {func(s *config.Store) { s.Issuer = "https://id.example" }, []string{"issuer"}},
		"names that are none":     {func(s *config.Store) { s.Tables.Usher, s.Tables.UserIDIndex = "a", "b c d" }, []string{"tables.usher", "tables.userIdIndex"}},
		"one table twice":         {func(s *config.Store) { s.Tables.Contacts = s.Tables.Users }, []string{"tables.contacts"}},
	} {
		s := config.DefaultStore()
		tt.edit(&s)
		var got []string
		for _, p := range s.Validate() {
			got = append(got, p.Field)
		}
		if strings.Join(got, " ") != strings.Join(tt.want, " ") {
			t.Errorf("%s: got problems of %q, want %q", name, got, tt.want)
		}
	}
}

// TestTheVideoChatsVariablesNameItsTables also has it that none of them is taken
// for a mistake.
func TestTheVideoChatsVariablesNameItsTables(t *testing.T) {
	cfg, warnings, err := config.Load(config.Options{Dev: true, Environ: []string{
		"CONTACTS_TABLE=c-contacts", "USERS_TABLE=c-users", "CONNECTIONS_TABLE=c-connections", "USER_ID_INDEX=ById", "USER_EMAIL_INDEX=ByEmail", "USHER_TABLE=c-usher",
	}})
	want := config.Tables{
		Usher: "c-usher", Users: "c-users", Contacts: "c-contacts", Connections: "c-connections", UserEmailIndex: "ByEmail", UserIDIndex: "ById",
	}
	if err != nil || len(warnings) > 0 || cfg.Store.Tables != want {
		t.Errorf("got %+v, warnings %q, error %v, want %+v", cfg.Store.Tables, warnings, err, want)
	}
}

func TestUsersOfTheOnlyIssuerAreCalledByTheirSub(t *testing.T) {
	for name, tt := range map[string]struct {
		store   string
		issuers []identity.IssuerConfig
		want    string
	}{
		"no issuer":             {"", nil, ""},
		"the only one":          {"", []identity.IssuerConfig{{Issuer: "https://a.example"}}, "https://a.example"},
		"none of two":           {"", []identity.IssuerConfig{{Issuer: "https://a.example"}, {Issuer: "https://b.example"}}, ""},
		"the one that was said": {"https://b.example", []identity.IssuerConfig{{Issuer: "https://a.example"}}, "https://b.example"},
	} {
		cfg := config.Config{Issuers: tt.issuers, Store: config.Store{Issuer: tt.store}}
		if got := cfg.StoreIssuer(); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}
