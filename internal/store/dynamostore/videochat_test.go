package dynamostore_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"usher"
	"usher/internal/store"
	"usher/internal/store/dynamostore"
)

// plain is the AWS SDK and nothing else, as the video chat's own program has it.
type plain struct {
	*testing.T
	api    *dynamodb.Client
	tables dynamostore.Tables
}

type row = map[string]types.AttributeValue

func texts(pairs ...string) row {
	r := make(row)
	for i := 0; i < len(pairs); i += 2 {
		r[pairs[i]] = &types.AttributeValueMemberS{Value: pairs[i+1]}
	}
	return r
}

func textOf(r row, name string) string {
	s, _ := r[name].(*types.AttributeValueMemberS)
	if s == nil {
		return ""
	}
	return s.Value
}

func newPlain(t *testing.T, cfg dynamostore.Config) plain {
	return plain{t, dynamodb.New(dynamodb.Options{
		Region: cfg.Region, BaseEndpoint: &cfg.Endpoint, Credentials: cfg.Credentials,
	}), cfg.Tables}
}

// createTables makes the tables as the video chat's serverless.yml says.
func (p plain) createTables() {
	p.Helper()
	keys := func(names ...string) (list []types.KeySchemaElement) {
		for i, name := range names {
			list = append(list, types.KeySchemaElement{AttributeName: &name, KeyType: []types.KeyType{types.KeyTypeHash, types.KeyTypeRange}[i]})
		}
		return list
	}
	create := func(table string, attributes, key []string, index ...string) {
		in := &dynamodb.CreateTableInput{TableName: &table, KeySchema: keys(key...), BillingMode: types.BillingModePayPerRequest}
		for _, a := range attributes {
			in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: &a, AttributeType: types.ScalarAttributeTypeS})
		}
		if len(index) > 0 {
			in.GlobalSecondaryIndexes = []types.GlobalSecondaryIndex{{
				IndexName: aws.String("UserIdIndex"), KeySchema: keys(index...), Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll},
			}}
		}
		if _, err := p.api.CreateTable(p.Context(), in); err != nil {
			p.Fatal(err)
		}
	}
	create(p.tables.Contacts, []string{"userId", "contactUserId", "contactEmail"}, []string{"userId", "contactUserId"}, "userId", "contactEmail")
	create(p.tables.Users, []string{"userId", "email"}, []string{"userId"}, "email")
	create(p.tables.Connections, []string{"userId", "connectionId"}, []string{"userId", "connectionId"})
}

func (p plain) put(table string, r row) {
	p.Helper()
	if _, err := p.api.PutItem(p.Context(), &dynamodb.PutItemInput{TableName: &table, Item: r}); err != nil {
		p.Fatal(err)
	}
}

// query asks as the video chat's program does; the index may be empty.
func (p plain) query(table, index, by, value string) []map[string]types.AttributeValue {
	p.Helper()
	in := &dynamodb.QueryInput{
		TableName: &table, KeyConditionExpression: aws.String("#k = :v"),
		ExpressionAttributeNames: map[string]string{"#k": by}, ExpressionAttributeValues: texts(":v", value),
	}
	if index != "" {
		in.IndexName = &index
	}
	out, err := p.api.Query(p.Context(), in)
	if err != nil {
		p.Fatal(err)
	}
	return out.Items
}

func keyOf(sub string) string { return "user:" + issuer + "#" + sub }

// videoChat has the tables of the video chat with two users and a contact that
// its own program wrote.
func videoChat(t *testing.T) (plain, *dynamostore.DB) {
	cfg := config(t)
	p := newPlain(t, cfg)
	p.createTables()
	db := open(t, cfg)
	ann := texts("userId", "sub-ann", "email", "Ann@example.org", "name", "Ann", "picture", "ann.png")
	ann["logins"] = &types.AttributeValueMemberN{Value: "7"}
	p.put(p.tables.Users, ann)
	p.put(p.tables.Users, texts("userId", "sub-bob", "email", "bob@example.org"))
	p.put(p.tables.Contacts, texts("userId", "sub-ann", "contactUserId", "sub-bob", "contactEmail", "bob@example.org"))
	return p, db
}

func TestRowsOfTheVideoChatAreRead(t *testing.T) {
	t.Parallel()
	_, db := videoChat(t)
	ctx := t.Context()
	ann := usher.User{App: usher.DefaultApp, Key: keyOf("sub-ann"), Email: "Ann@example.org", Name: "Ann"}
	bob := usher.User{App: usher.DefaultApp, Key: keyOf("sub-bob"), Email: "bob@example.org"}
	look := func(when string, ways ...string) {
		t.Helper()
		for _, want := range []usher.User{ann, bob} {
			if got, err := db.Users().Get(ctx, want.App, want.Key); err != nil || got != want {
				t.Errorf("%s: got %+v and error %v, want %+v", when, got, err, want)
			}
		}
		for _, email := range ways {
			got, err := db.Users().ByEmail(ctx, usher.DefaultApp, email)
			if err != nil || !strings.EqualFold(got.Email, email) {
				t.Errorf("%s: %s finds %+v, error %v", when, email, got, err)
			}
		}
		list, err := db.Contacts().List(ctx, ann.App, ann.Key)
		want := []store.Listing{{Contact: usher.Contact{App: ann.App, Owner: ann.Key, User: bob.Key}, User: bob}}
		if err != nil || !slices.Equal(list, want) {
			t.Errorf("%s: ann lists %+v, error %v, want %+v", when, list, err, want)
		}
	}
	look("before migrating", "Ann@example.org", "bob@example.org", "BOB@example.org")
	for range 2 {
		if err := db.Migrate(ctx); err != nil {
			t.Fatal(err)
		}
		look("after migrating", "ann@EXAMPLE.org", "bob@example.org")
	}
	users, err := db.Users().List(ctx, usher.DefaultApp, "", 0)
	if err != nil || !slices.Equal(users, []usher.User{ann, bob}) {
		t.Errorf("listed are %+v, error %v", users, err)
	}
	if err := db.Users().Create(ctx, ann); err == nil {
		t.Error("a user who is there was made again")
	}
	again, err := db.Contacts().Add(ctx, usher.Contact{App: ann.App, Owner: ann.Key, User: bob.Key, AddedAt: moment}, 0)
	if err == nil || !again.AddedAt.IsZero() {
		t.Errorf("a contact who is there was made again: %+v", again)
	}
}

func TestRowsOfTheVideoChatAreUpdated(t *testing.T) {
	t.Parallel()
	p, db := videoChat(t)
	ctx := t.Context()
	rename := func() usher.User {
		t.Helper()
		u, err := db.Users().Update(ctx, usher.DefaultApp, keyOf("sub-ann"), func(u usher.User) (usher.User, error) {
			u.Name, u.ProvenAt = u.Name+"!", moment
			return u, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	if got := rename(); got.Name != "Ann!" || got.Version != 1 {
		t.Errorf("got %+v", got)
	}
	rows := p.query(p.tables.Users, p.tables.UserEmail, "email", "Ann@example.org")
	if len(rows) != 1 || textOf(rows[0], "userId") != "sub-ann" || textOf(rows[0], "name") != "Ann!" || textOf(rows[0], "picture") != "ann.png" || rows[0]["logins"] == nil {
		t.Errorf("the row is %v", rows)
	}

	// The video chat's program writes the whole row again, without what is ours.
	p.put(p.tables.Users, texts("userId", "sub-ann", "email", "ann@new.example", "name", "Annie"))
	if got := rename(); got.Name != "Annie!" || got.Email != "ann@new.example" || got.Version != 1 {
		t.Errorf("after the row was replaced: got %+v", got)
	}
	for email, want := range map[string]bool{"ANN@new.example": true, "Ann@example.org": false, "ann@example.org": false} {
		if _, err := db.Users().ByEmail(ctx, usher.DefaultApp, email); (err == nil) != want {
			t.Errorf("%s is found: %v, want %t", email, err, want)
		}
	}

	gone, err := db.Users().Delete(ctx, usher.DefaultApp, keyOf("sub-bob"))
	want := []usher.Contact{{App: usher.DefaultApp, Owner: keyOf("sub-ann"), User: keyOf("sub-bob")}}
	if err != nil || !slices.Equal(gone, want) {
		t.Errorf("with bob went %+v, error %v, want %+v", gone, err, want)
	}
	if rows := p.query(p.tables.Contacts, "", "userId", "sub-ann"); len(rows) != 0 {
		t.Errorf("left of bob is %v", rows)
	}
}

func TestTheVideoChatReadsOurRows(t *testing.T) {
	t.Parallel()
	p, db := videoChat(t)
	ctx := t.Context()
	carl := usher.User{App: usher.DefaultApp, Key: keyOf("sub-carl"), Email: "carl@example.org", Name: "Carl", ProvenAt: moment, CreatedAt: moment, Version: 1}
	nobody := usher.User{App: usher.DefaultApp, Key: "user:https://other.example#dora", Version: 1} // without an address
	for _, u := range []usher.User{carl, nobody} {
		if err := db.Users().Create(ctx, u); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Contacts().Add(ctx, usher.Contact{App: u.App, Owner: keyOf("sub-ann"), User: u.Key, AddedAt: moment}, 0); err != nil {
			t.Fatal(err)
		}
	}
	rows := p.query(p.tables.Users, p.tables.UserEmail, "email", "carl@example.org")
	if len(rows) != 1 || textOf(rows[0], "userId") != "sub-carl" || textOf(rows[0], "name") != "Carl" {
		t.Errorf("carl's row is %v", rows)
	}
	for name, tt := range map[string]struct {
		index string
		want  []string
	}{
		"all of ann's contacts":     {"", []string{"sub-bob", "sub-carl", nobody.Key}},
		"by their e-mail addresses": {p.tables.UserID, []string{"sub-bob", "sub-carl"}},
	} {
		var got []string
		for _, r := range p.query(p.tables.Contacts, tt.index, "userId", "sub-ann") {
			got = append(got, textOf(r, "contactUserId"))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
	if err := db.Contacts().Remove(ctx, carl.App, keyOf("sub-ann"), carl.Key); err != nil {
		t.Fatal(err)
	}
	if rows := p.query(p.tables.Contacts, "", "userId", "sub-ann"); len(rows) != 2 {
		t.Errorf("after carl was removed ann lists %v", rows)
	}
}

func TestConnectionsAreRowsOfTheVideoChat(t *testing.T) {
	t.Parallel()
	p, db := videoChat(t)
	ctx := t.Context()
	p.put(p.tables.Connections, texts("userId", "sub-ann", "connectionId", "theirs="))
	ours := usher.Attachment{
		AttachmentKey: usher.AttachmentKey{App: usher.DefaultApp, User: keyOf("sub-ann"), Connection: "ours="},
		ID:            usher.SystemIDs().New(), Due: moment, Version: 1,
	}
	if err := db.Attachments().Create(ctx, ours); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range p.query(p.tables.Connections, "", "userId", "sub-ann") {
		names = append(names, textOf(r, "connectionId"))
	}
	if want := []string{"ours=", "theirs="}; !slices.Equal(names, want) {
		t.Errorf("the video chat's program reads the connections %q, want %q", names, want)
	}
	list, err := db.Attachments().Of(ctx, ours.App, ours.User)
	if err != nil || len(list) != 2 || list[0].ID != ours.ID || list[1].Connection != "theirs=" || list[1].ID != "" {
		t.Fatalf("got %+v, error %v", list, err)
	}
	if list[1].There(moment.Add(-time.Hour)) {
		t.Error("somebody counts as there by a row that nothing prolongs")
	}
	// A row that nobody can read hides no others.
	broken := texts("userId", "sub-ann", "connectionId", "broken=", "usherId", string(ours.ID), "usherBody", "{")
	p.put(p.tables.Connections, broken)
	if again, err := db.Attachments().Of(ctx, ours.App, ours.User); err != nil || len(again) != 2 {
		t.Errorf("beside a row that can't be read there are %+v, error %v", again, err)
	}
	if _, err := p.api.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &p.tables.Connections, Key: texts("userId", "sub-ann", "connectionId", "broken=")}); err != nil {
		t.Fatal(err)
	}
	// A row of theirs is deleted when it turns out that nobody is there.
	if _, err := db.Attachments().Update(ctx, list[1].AttachmentKey, func(a usher.Attachment) (usher.Attachment, error) { return a, store.ErrDelete }); err != nil {
		t.Fatal(err)
	}
	if rows := p.query(p.tables.Connections, "", "userId", "sub-ann"); len(rows) != 1 || textOf(rows[0], "connectionId") != "ours=" {
		t.Errorf("left are %v", rows)
	}
}

func TestMigrateRefusesTablesOfAnotherForm(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	p := newPlain(t, cfg)
	key, kind := "id", types.ScalarAttributeTypeS
	if _, err := p.api.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &cfg.Tables.Users, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: &key, AttributeType: kind}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: &key, KeyType: types.KeyTypeHash}},
	}); err != nil {
		t.Fatal(err)
	}
	db, err := dynamostore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Migrate(t.Context())
	if err == nil || !strings.Contains(err.Error(), cfg.Tables.Users) || !strings.Contains(err.Error(), "userId") {
		t.Errorf("got error %v, want one that names the table and the key", err)
	}
}

func TestUsersOfOtherAppsAndIssuersHaveIDsOfTheirOwn(t *testing.T) {
	t.Parallel()
	_, db := videoChat(t)
	ctx := t.Context()
	for _, u := range []usher.User{
		{App: usher.DefaultApp, Key: "user:https://other.example#sub-ann"},
		{App: "other|app", Key: keyOf("sub-ann")},
		{App: "other", Key: "app|" + keyOf("sub-ann")},
		{App: usher.DefaultApp, Key: keyOf("@other|" + keyOf("sub-ann"))},
		{App: usher.DefaultApp, Key: keyOf("user:x#y")},
	} {
		u.Version, u.CreatedAt = 1, moment.Add(time.Microsecond)
		if err := db.Users().Create(ctx, u); err != nil {
			t.Fatalf("%+v: %v", u, err)
		}
		if got, err := db.Users().Get(ctx, u.App, u.Key); err != nil || got != u {
			t.Errorf("got %+v and error %v, want %+v", got, err, u)
		}
	}
}
