package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"usher"
	"usher/internal/store"
)

// form is how a table must be.
type form struct {
	table
	// index, if not empty, is that of the table by other keys.
	index              string
	indexHash, indexBy string // indexBy is the sort key, and may be empty
}

func (db *DB) forms() []form {
	return []form{
		{table: *db.own},
		{table: *db.users, index: db.tables.UserEmail, indexHash: "email"},
		{table: *db.contacts, index: db.tables.UserID, indexHash: "userId", indexBy: "contactEmail"},
		{table: *db.connections},
	}
}

// tableTime is how long a table may take to be made.
const tableTime = 3 * time.Minute

// Migrate makes the tables that are missing, and checks those that are there. It
// then takes in the users whom somebody else has written, so that they are listed
// and found by their addresses in whatever case those are written. It changes no
// table, deletes nothing, and can be run at any time and again.
func (db *DB) Migrate(ctx context.Context) error {
	done, err := db.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	for _, f := range db.forms() {
		if err := db.migrateTable(ctx, f); err != nil {
			return fmt.Errorf("dynamostore: table %s: %w", f.name, err)
		}
	}
	return db.adopt(ctx)
}

func (db *DB) migrateTable(ctx context.Context, f form) error {
	_, err := db.persist(ctx, func(ctx context.Context) error {
		_, err := db.api.CreateTable(ctx, f.input())
		return err
	})
	if _, exists := errors.AsType[*types.ResourceInUseException](err); err != nil && !exists {
		return err
	} else if err == nil {
		db.log.InfoContext(ctx, "a table was made", "table", f.name)
	}
	ctx, cancel := context.WithTimeout(ctx, tableTime)
	defer cancel()
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		var out *dynamodb.DescribeTableOutput
		if err := db.ask(ctx, func(ctx context.Context) (err error) {
			out, err = db.api.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &f.name})
			return err
		}); err != nil {
			return err
		}
		if ready(out.Table) {
			return f.check(out.Table)
		}
		if err := db.pause(ctx, wait); err != nil {
			return fmt.Errorf("it is not ready: %w", err)
		}
	}
}

// ready reports whether a table and its indexes can be used.
func ready(t *types.TableDescription) bool {
	usable := t.TableStatus == types.TableStatusActive || t.TableStatus == types.TableStatusUpdating
	return usable && !slices.ContainsFunc(t.GlobalSecondaryIndexes, func(x types.GlobalSecondaryIndexDescription) bool {
		return x.IndexStatus == types.IndexStatusCreating
	})
}

// input is the request that makes the table.
func (f form) input() *dynamodb.CreateTableInput {
	in := &dynamodb.CreateTableInput{
		TableName: &f.name, BillingMode: types.BillingModePayPerRequest, KeySchema: schema(f.hash, f.sort),
	}
	if f.index != "" {
		in.GlobalSecondaryIndexes = []types.GlobalSecondaryIndex{{
			IndexName: &f.index, KeySchema: schema(f.indexHash, f.indexBy),
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll},
		}}
	}
	seen := map[string]bool{"": true}
	for _, name := range []string{f.hash, f.sort, f.indexHash, f.indexBy} {
		if !seen[name] {
			seen[name] = true
			in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: &name, AttributeType: types.ScalarAttributeTypeS})
		}
	}
	return in
}

func schema(hash, sort string) []types.KeySchemaElement {
	list := []types.KeySchemaElement{{AttributeName: &hash, KeyType: types.KeyTypeHash}}
	if sort != "" {
		list = append(list, types.KeySchemaElement{AttributeName: &sort, KeyType: types.KeyTypeRange})
	}
	return list
}

// check says what is wrong with a table that is there.
func (f form) check(t *types.TableDescription) error {
	for _, a := range t.AttributeDefinitions {
		if a.AttributeType != types.ScalarAttributeTypeS {
			return fmt.Errorf("its key %s is of the type %s, and must be a string", aws.ToString(a.AttributeName), a.AttributeType)
		}
	}
	if want, got := describe(schema(f.hash, f.sort)), describe(t.KeySchema); got != want {
		return fmt.Errorf("its keys are %s, and must be %s", got, want)
	}
	if f.index == "" {
		return nil
	}
	for _, x := range t.GlobalSecondaryIndexes {
		if aws.ToString(x.IndexName) != f.index {
			continue
		}
		if want, got := describe(schema(f.indexHash, f.indexBy)), describe(x.KeySchema); got != want {
			return fmt.Errorf("the keys of its index %s are %s, and must be %s", f.index, got, want)
		}
		return nil
	}
	return fmt.Errorf("it has no index %s", f.index)
}

func describe(keys []types.KeySchemaElement) string {
	var hash, sort string
	for _, k := range keys {
		if k.KeyType == types.KeyTypeHash {
			hash = aws.ToString(k.AttributeName)
		} else {
			sort = " and " + aws.ToString(k.AttributeName)
		}
	}
	return hash + sort
}

// adopt writes the entries of users whom somebody else has written.
func (db *DB) adopt(ctx context.Context) error {
	var e expression
	n := 0
	err := db.scan(ctx, db.users, &e, e.is(refsAttribute, nil)+" AND "+e.is(goingAttribute, nil), func(i item) error {
		_, err := userKind.change(ctx, db, db.users.keyOf(i), func(u usher.User) (usher.User, error) { return u, nil })
		if errors.Is(err, store.ErrNotFound) {
			return nil // gone meanwhile
		}
		n++
		return err
	})
	if err != nil {
		return fmt.Errorf("dynamostore: take in users: %w", err)
	}
	if n > 0 {
		db.log.InfoContext(ctx, "users whom another program wrote were taken in", "users", n)
	}
	return nil
}
