package config

import (
	"regexp"
	"slices"

	"usher"
)

// The stores that there are.
const (
	SQLite   = "sqlite"
	DynamoDB = "dynamodb"
)

// Store says where what the server knows is kept.
type Store struct {
	Driver string `yaml:"driver" doc:"sqlite, a file in the folder data; or dynamodb, tables in AWS. The other keys of store are for dynamodb only; usher migrate makes its tables."`
	Region string `yaml:"region" doc:"The AWS region of the tables. Without it, and for credentials in any case, what AWS's own tools read counts: variables such as AWS_REGION and AWS_ACCESS_KEY_ID, the files in ~/.aws, or the role of the machine."`
	// Endpoint is for stand-ins of DynamoDB and for private addresses of it.
	Endpoint string `yaml:"endpoint" doc:"The address of a DynamoDB that is not at AWS's usual one, such as http://127.0.0.1:8000 for one on this machine."`
	Issuer   string `yaml:"issuer" doc:"The issuer whose users the tables of the serverless video chat call by their bare sub. Without it, the one of issuers if there is exactly one. It must not change once there are users."`
	// SealKey takes the place of the file in the data folder.
	SealKey usher.Secret `yaml:"sealKey" doc:"What our signing keys are sealed with in the store: a random text of at least 32 characters, such as that of openssl rand -base64 32. Without it, the file seal.key in the data folder. All that work on one store need the same."`
	Tables  Tables       `yaml:"tables"`
}

// Tables are the names of DynamoDB's tables. Three of them, and their indexes,
// are those of the serverless video chat, by the variables that it has.
type Tables struct {
	Usher          string `yaml:"usher" env:"USHER_TABLE" doc:"The table of all that the other three have no place for."`
	Users          string `yaml:"users" env:"USERS_TABLE" doc:"The table of users, as the serverless video chat has it."`
	Contacts       string `yaml:"contacts" env:"CONTACTS_TABLE" doc:"The table of contacts, likewise."`
	Connections    string `yaml:"connections" env:"CONNECTIONS_TABLE" doc:"The table of connections, likewise. Functions on AWS Lambda keep theirs in it, and a server nothing."`
	UserEmailIndex string `yaml:"userEmailIndex" env:"USER_EMAIL_INDEX" doc:"The index of the table of users by email."`
	UserIDIndex    string `yaml:"userIdIndex" env:"USER_ID_INDEX" doc:"The index of the table of contacts by userId and contactEmail."`
}

// DefaultStore returns the values in force where a configuration is silent.
func DefaultStore() Store {
	return Store{Driver: SQLite, Tables: Tables{
		Usher: "usher", Users: "usher-users", Contacts: "usher-contacts", Connections: "usher-connections",
		UserEmailIndex: "UserIdIndex", UserIDIndex: "UserIdIndex", // as in the video chat's serverless.yml
	}}
}

// tableName is what DynamoDB takes for the name of a table or an index.
var tableName = regexp.MustCompile(`^[A-Za-z0-9_.-]{3,255}$`)

// Validate returns what is wrong with the section, field by field.
func (s Store) Validate() []usher.FieldProblem {
	var v validator
	v.check("driver", s.Driver == SQLite || s.Driver == DynamoDB, "must be sqlite or dynamodb")
	if s.Endpoint != "" {
		u, message := parseURL(s.Endpoint)
		if message == "" && u.Path != "" && u.Path != "/" {
			message = "must have no path"
		}
		v.check("endpoint", message == "", message)
	}
	v.check("issuer", s.Issuer == "" || s.Driver == DynamoDB, "is only for store.driver: dynamodb")
	v.check("sealKey", s.SealKey == "" || len(s.SealKey) >= 32, "must have at least 32 characters")
	var names []string
	for _, t := range []struct{ key, name string }{
		{"usher", s.Tables.Usher}, {"users", s.Tables.Users}, {"contacts", s.Tables.Contacts}, {"connections", s.Tables.Connections},
		{"userEmailIndex", s.Tables.UserEmailIndex}, {"userIdIndex", s.Tables.UserIDIndex},
	} {
		path := join("tables", t.key)
		v.check(path, tableName.MatchString(t.name), "must be 3 to 255 letters, digits, dots, hyphens and underscores")
		if len(names) < 4 { // indexes belong to different tables, and may have one name
			v.check(path, !slices.Contains(names, t.name), "is the name of another of the tables")
			names = append(names, t.name)
		}
	}
	return v.problems
}

// StoreIssuer returns the issuer whose users the tables call by their bare sub;
// empty is none.
func (c Config) StoreIssuer() string {
	if c.Store.Issuer == "" && len(c.Issuers) == 1 {
		return c.Issuers[0].Issuer
	}
	return c.Store.Issuer
}
