package dynamostore

import (
	"context"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

// How long DynamoDB is waited for.
const (
	// callTime bounds one request, unless the configuration says otherwise. A
	// write that was begun is seen through even if its caller gives up, so that few
	// are left in doubt.
	callTime = 5 * time.Second
	// patience is for how many times that long a request is repeated.
	patience  = 3
	firstWait = 20 * time.Millisecond
	longWait  = time.Second
)

// What one request may carry, by DynamoDB's limits.
const (
	maxReads  = 100
	maxWrites = 25
)

// errConflict says that the condition of a write did not hold.
var errConflict = errors.New("dynamostore: the item has changed")

// key finds an item.
type key struct {
	table      *table
	hash, sort string
}

func (k key) attributes() item {
	i := item{k.table.hash: textValue(k.hash)}
	if k.table.sort != "" {
		i[k.table.sort] = textValue(k.sort)
	}
	return i
}

// keyOf returns the key of an item of the table.
func (t *table) keyOf(i item) key { return key{t, i.text(t.hash), i.text(t.sort)} }

// fault is how a request failed.
type fault int

const (
	refused   fault = iota // for good
	unmet                  // its condition did not hold
	throttled              // it was not even tried
	unclear                // it may have happened
)

func classify(err error) fault {
	if _, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return unmet
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		return unclear // the network, or our own bound on time
	}
	switch api.ErrorCode() {
	case "ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException":
		return throttled
	}
	if api.ErrorFault() == smithy.FaultServer || strings.HasPrefix(api.ErrorCode(), "Internal") || api.ErrorCode() == "ServiceUnavailable" {
		return unclear
	}
	return refused
}

// ask repeats a request that only reads until it is answered.
func (db *DB) ask(ctx context.Context, request func(context.Context) error) error {
	_, err := db.repeat(ctx, ctx, request)
	return err
}

// persist repeats a write until its outcome is known: errConflict if its
// condition did not hold. Then doubt says that an earlier try may have happened.
func (db *DB) persist(ctx context.Context, request func(context.Context) error) (doubt bool, err error) {
	return db.repeat(ctx, context.WithoutCancel(ctx), request)
}

// repeat makes requests in one context, and pauses between them in another.
func (db *DB) repeat(ctx, within context.Context, request func(context.Context) error) (doubt bool, err error) {
	began := db.now()
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		call, cancel := context.WithTimeout(within, db.timeout)
		err := request(call)
		cancel()
		if err == nil {
			return doubt, nil
		}
		switch classify(err) {
		case refused:
			return doubt, fmt.Errorf("dynamostore: %w", err)
		case unmet:
			return doubt, errConflict
		case unclear:
			doubt = true
		}
		if db.now().Sub(began) > patience*db.timeout {
			return doubt, unavailable(err)
		}
		if err := db.pause(ctx, wait); err != nil {
			return doubt, err
		}
	}
}

// pause waits a random part of the time, so that those who are in each other's
// way come apart.
func (db *DB) pause(ctx context.Context, longest time.Duration) error {
	var b [4]byte
	if _, err := io.ReadFull(db.random, b[:]); err != nil {
		return fmt.Errorf("dynamostore: %w", err)
	}
	part := time.Duration(binary.BigEndian.Uint32(b[:])) * longest >> 32
	t := time.NewTimer(longest/4 + part*3/4)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// nonceLength is that of what nonce returns: 80 random bits.
const nonceLength = 16

// nonce returns text that nobody else has.
func (db *DB) nonce() (string, error) {
	var b [nonceLength * 5 / 8]byte
	if _, err := io.ReadFull(db.random, b[:]); err != nil {
		return "", fmt.Errorf("dynamostore: %w", err)
	}
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:])), nil
}

// get returns an item, or nil.
func (db *DB) get(ctx context.Context, k key) (item, error) {
	var found item
	err := db.ask(ctx, func(ctx context.Context) error {
		out, err := db.api.GetItem(ctx, &dynamodb.GetItemInput{TableName: &k.table.name, Key: k.attributes(), ConsistentRead: aws.Bool(true)})
		if err == nil {
			found = out.Item
		}
		return err
	})
	return found, err
}

// expression gives names and values to what a condition or an update says.
type expression struct {
	names  map[string]string
	values item
}

func (e *expression) name(attribute string) string {
	if e.names == nil {
		e.names = make(map[string]string)
	}
	short := "#n" + strconv.Itoa(len(e.names))
	e.names[short] = attribute
	return short
}

func (e *expression) value(v types.AttributeValue) string {
	if e.values == nil {
		e.values = make(item)
	}
	short := ":v" + strconv.Itoa(len(e.values))
	e.values[short] = v
	return short
}

// is says that an attribute has a value, or that it is not there if that is nil.
func (e *expression) is(attribute string, v types.AttributeValue) string {
	if v == nil {
		return "attribute_not_exists(" + e.name(attribute) + ")"
	}
	return e.name(attribute) + " = " + e.value(v)
}

// put writes a whole item if a condition holds; the empty condition always does.
func (db *DB) put(ctx context.Context, t *table, i item, e *expression, condition string) (doubt bool, err error) {
	in := &dynamodb.PutItemInput{TableName: &t.name, Item: i, ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values}
	if condition != "" {
		in.ConditionExpression = &condition
	}
	return db.persist(ctx, func(ctx context.Context) error {
		_, err := db.api.PutItem(ctx, in)
		return err
	})
}

// putNew writes an item if there is none of its key.
func (db *DB) putNew(ctx context.Context, t *table, i item) (doubt bool, err error) {
	var e expression
	return db.put(ctx, t, i, &e, e.is(t.hash, nil))
}

// remove deletes an item if a condition holds.
func (db *DB) remove(ctx context.Context, k key, e *expression, condition string) (doubt bool, err error) {
	in := &dynamodb.DeleteItemInput{
		TableName: &k.table.name, Key: k.attributes(), ConditionExpression: &condition,
		ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
	}
	return db.persist(ctx, func(ctx context.Context) error {
		_, err := db.api.DeleteItem(ctx, in)
		return err
	})
}

// revise changes attributes of an item from what they are in old to what they
// are in next, if a condition holds, and leaves those alone that are the same.
func (db *DB) revise(ctx context.Context, k key, old, next item, e *expression, condition string) (doubt bool, err error) {
	var set, drop []string
	for name, v := range next {
		if name != k.table.hash && name != k.table.sort && (old[name] == nil || !equal(old[name], v)) {
			set = append(set, e.name(name)+" = "+e.value(v))
		}
	}
	for name := range old {
		if next[name] == nil {
			drop = append(drop, e.name(name))
		}
	}
	var update string
	if len(set) > 0 {
		update = "SET " + strings.Join(set, ", ")
	}
	if len(drop) > 0 {
		update += " REMOVE " + strings.Join(drop, ", ")
	}
	in := &dynamodb.UpdateItemInput{
		TableName: &k.table.name, Key: k.attributes(), ConditionExpression: &condition, UpdateExpression: &update,
		ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
	}
	return db.persist(ctx, func(ctx context.Context) error {
		_, err := db.api.UpdateItem(ctx, in)
		return err
	})
}

// getAll returns those of the items that are there, in any order. A key may be
// asked for twice.
func (db *DB) getAll(ctx context.Context, keys []key) (map[key]item, error) {
	found := make(map[key]item, len(keys))
	var ask []key
	for _, k := range keys {
		if _, asked := found[k]; !asked {
			found[k] = nil
			ask = append(ask, k)
		}
	}
	for len(ask) > 0 {
		n := min(len(ask), maxReads)
		requests := make(map[string]types.KeysAndAttributes)
		tables := make(map[string]*table)
		for _, k := range ask[:n] {
			r := requests[k.table.name]
			r.ConsistentRead = aws.Bool(true)
			r.Keys = append(r.Keys, k.attributes())
			requests[k.table.name], tables[k.table.name] = r, k.table
		}
		if err := db.getBatch(ctx, requests, func(name string, i item) { found[tables[name].keyOf(i)] = i }); err != nil {
			return nil, err
		}
		ask = ask[n:]
	}
	return found, nil
}

// errUnprocessed has a batch, of which a part was left undone, tried again.
var errUnprocessed = &smithy.GenericAPIError{Code: "ThrottlingException", Message: "a part of a batch was left undone"}

func (db *DB) getBatch(ctx context.Context, requests map[string]types.KeysAndAttributes, found func(table string, i item)) error {
	return db.ask(ctx, func(ctx context.Context) error {
		out, err := db.api.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: requests})
		if err != nil {
			return err
		}
		for name, items := range out.Responses {
			for _, i := range items {
				found(name, i)
			}
		}
		if requests = out.UnprocessedKeys; len(requests) > 0 {
			return errUnprocessed
		}
		return nil
	})
}

// writeAll writes whole items and deletes others, of our own table, each
// without a condition and in any order.
func (db *DB) writeAll(ctx context.Context, puts []item, drops []key) error {
	requests := make([]types.WriteRequest, 0, len(puts)+len(drops))
	for _, i := range puts {
		requests = append(requests, types.WriteRequest{PutRequest: &types.PutRequest{Item: i}})
	}
	for _, k := range drops {
		requests = append(requests, types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: k.attributes()}})
	}
	for len(requests) > 0 {
		n := min(len(requests), maxWrites)
		left := map[string][]types.WriteRequest{db.own.name: requests[:n]}
		_, err := db.persist(ctx, func(ctx context.Context) error {
			out, err := db.api.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: left})
			if err != nil {
				return err
			}
			if left = out.UnprocessedItems; len(left) > 0 {
				return errUnprocessed
			}
			return nil
		})
		if err != nil {
			return err
		}
		requests = requests[n:]
	}
	return nil
}

// span is a part of what has one hash key: from low, inclusive, to high,
// exclusive. Empty bounds are none.
type span struct {
	table     *table
	hash      string
	low, high string
	backwards bool
	// only, if not empty, are the attributes to return.
	only []string
	// index is that of the table to read instead, and by the name of its hash
	// key. It may lag behind.
	index, by string
}

// each reads a span, in order, until visit says that it has enough. A page is
// how many items to ask for at a time.
func (db *DB) each(ctx context.Context, s span, page int, visit func([]item) (more bool, err error)) error {
	var from map[string]types.AttributeValue
	for {
		var e expression
		by := s.table.hash
		if s.index != "" {
			by = s.by
		}
		condition := e.name(by) + " = " + e.value(textValue(s.hash))
		// One key can have one condition only, and BETWEEN includes both ends: no
		// item has an end for its key.
		switch {
		case s.low != "" && s.high != "":
			condition += " AND " + e.name(s.table.sort) + " BETWEEN " + e.value(textValue(s.low)) + " AND " + e.value(textValue(s.high))
		case s.low != "":
			condition += " AND " + e.name(s.table.sort) + " >= " + e.value(textValue(s.low))
		case s.high != "":
			condition += " AND " + e.name(s.table.sort) + " < " + e.value(textValue(s.high))
		}
		in := &dynamodb.QueryInput{
			TableName: &s.table.name, KeyConditionExpression: &condition, ExclusiveStartKey: from,
			ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
			ScanIndexForward: aws.Bool(!s.backwards), ConsistentRead: aws.Bool(s.index == ""), Limit: aws.Int32(int32(page)),
		}
		if s.index != "" {
			in.IndexName = &s.index
		}
		if len(s.only) > 0 {
			var names []string
			for _, attribute := range s.only {
				names = append(names, e.name(attribute))
			}
			in.ProjectionExpression = aws.String(strings.Join(names, ", "))
			in.ExpressionAttributeNames = e.names
		}
		var out *dynamodb.QueryOutput
		if err := db.ask(ctx, func(ctx context.Context) (err error) {
			out, err = db.api.Query(ctx, in)
			return err
		}); err != nil {
			return err
		}
		items := make([]item, len(out.Items))
		for i := range out.Items {
			items[i] = out.Items[i]
		}
		more, err := visit(items)
		if err != nil || !more || len(out.LastEvaluatedKey) == 0 {
			return err
		}
		from = out.LastEvaluatedKey
	}
}

// first returns the items at the beginning of a span, at most so many.
func (db *DB) first(ctx context.Context, s span, limit int) ([]item, error) {
	var all []item
	err := db.each(ctx, s, pageOf(limit), func(items []item) (bool, error) {
		all = append(all, items...)
		return limit <= 0 || len(all) < limit, nil
	})
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	return all, err
}

// pageOf is how many items to ask for at a time where so many are wanted.
func pageOf(limit int) int {
	if limit <= 0 || limit > maxReads {
		return maxReads
	}
	return limit
}
