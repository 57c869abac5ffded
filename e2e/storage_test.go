package e2e_test

import (
	"net/http"
	"strings"
	"testing"
)

// storage is where a server keeps what it knows, as its environment says.
type storage []string

// storages are the kinds of it.
var storages = map[string]func(testing.TB) storage{
	"on SQLite":   func(testing.TB) storage { return nil },
	"on DynamoDB": func(t testing.TB) storage { return newTables(t, newDynamo(t)) },
}

// onEachStorage runs a scenario on every kind of storage.
func onEachStorage(t *testing.T, scenario func(*testing.T, storage)) {
	t.Helper()
	t.Parallel()
	for name, open := range storages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scenario(t, open(t))
		})
	}
}

// newDynamo starts a DynamoDB and returns its address.
func newDynamo(t testing.TB) string {
	t.Helper()
	dir := nodeDir(t, "dynalite")
	endpoint := "http://127.0.0.1:" + unusedPort(t)
	startPeer(t, http.DefaultClient, dir, endpoint, nil, "dynalite.mjs", endpoint[strings.LastIndex(endpoint, ":")+1:])
	return endpoint
}

// onDynamo is the storage on the DynamoDB at an address, with tables that bear
// the names of the video chat's own.
func onDynamo(endpoint string) storage {
	return storage{
		"USHER_STORE_DRIVER=dynamodb", "USHER_STORE_REGION=us-east-1", "USHER_STORE_ENDPOINT=" + endpoint,
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test",
		"CONTACTS_TABLE=my-video-chat-contacts-dev", "USERS_TABLE=my-video-chat-users-dev", "CONNECTIONS_TABLE=my-video-chat-connections-dev",
		"USER_ID_INDEX=UserIdIndex", "USER_EMAIL_INDEX=UserIdIndex",
	}
}

// newTables is onDynamo once its tables are made.
func newTables(t testing.TB, endpoint string) storage {
	t.Helper()
	on := onDynamo(endpoint)
	if said, err := usherWith(t, on, "migrate"); err != nil || !strings.Contains(said, "the store is as this version needs it") {
		t.Fatalf("migrate says, error %v:\n%s", err, said)
	}
	return on
}
