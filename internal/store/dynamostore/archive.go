package dynamostore

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"usher"
)

// item is a row as DynamoDB has it.
type item map[string]types.AttributeValue

func (i item) text(name string) string {
	s, _ := i[name].(*types.AttributeValueMemberS)
	if s == nil {
		return ""
	}
	return s.Value
}

// number returns 0 for what is not there.
func (i item) number(name string) int64 {
	n, _ := i[name].(*types.AttributeValueMemberN)
	if n == nil {
		return 0
	}
	v, _ := strconv.ParseInt(n.Value, 10, 64) // what is no number was not written by us
	return v
}

func (i item) has(name string) bool { return i[name] != nil }

// part returns an item within an item, or nil.
func (i item) part(name string) item {
	m, _ := i[name].(*types.AttributeValueMemberM)
	if m == nil {
		return nil
	}
	return m.Value
}

func textValue(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func numberValue(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func partValue(i item) types.AttributeValue { return &types.AttributeValueMemberM{Value: i} }

// equal compares two attributes of the types that we write. Others, which
// somebody else wrote, are never changed and so count as equal to themselves.
func equal(a, b types.AttributeValue) bool {
	switch a := a.(type) {
	case *types.AttributeValueMemberS:
		b, ok := b.(*types.AttributeValueMemberS)
		return ok && a.Value == b.Value
	case *types.AttributeValueMemberN:
		b, ok := b.(*types.AttributeValueMemberN)
		return ok && a.Value == b.Value
	case *types.AttributeValueMemberBOOL:
		b, ok := b.(*types.AttributeValueMemberBOOL)
		return ok && a.Value == b.Value
	case *types.AttributeValueMemberB:
		b, ok := b.(*types.AttributeValueMemberB)
		return ok && bytes.Equal(a.Value, b.Value)
	case *types.AttributeValueMemberL:
		b, ok := b.(*types.AttributeValueMemberL)
		return ok && slices.EqualFunc(a.Value, b.Value, equal)
	case *types.AttributeValueMemberM:
		b, ok := b.(*types.AttributeValueMemberM)
		return ok && maps.EqualFunc(a.Value, b.Value, equal)
	}
	return a == b
}

// archive lists the fields of a record once for both directions: it writes them
// into an item, or reads them from it. What is empty has no attribute.
type archive struct {
	item    item
	reading bool
	err     error
}

// pack writes a record's fields into a copy of base, which may be nil.
func pack[T any](base item, fields func(*archive, *T), record *T) item {
	a := &archive{item: maps.Clone(base)}
	if a.item == nil {
		a.item = make(item)
	}
	fields(a, record)
	return a.item
}

// unpack reads a record's fields.
func unpack[T any](i item, fields func(*archive, *T)) (T, error) {
	var record T
	a := &archive{item: i, reading: true}
	fields(a, &record)
	if a.err != nil {
		var none T
		return none, a.err
	}
	return record, nil
}

func (a *archive) set(name string, v types.AttributeValue, empty bool) {
	if empty {
		delete(a.item, name)
	} else {
		a.item[name] = v
	}
}

// fail notes an attribute of a type that we never write.
func (a *archive) fail(name string) {
	if a.err == nil {
		a.err = fmt.Errorf("dynamostore: the attribute %s is of the type %T", name, a.item[name])
	}
}

// text keeps a string of any of the named string types.
func text[S ~string](a *archive, name string, s *S) {
	if !a.reading {
		a.set(name, textValue(string(*s)), *s == "")
		return
	}
	switch v := a.item[name].(type) {
	case nil:
	case *types.AttributeValueMemberS:
		*s = S(v.Value)
	default:
		a.fail(name)
	}
}

// number keeps an integer.
func number[N ~int | ~int64](a *archive, name string, n *N) {
	if !a.reading {
		a.set(name, numberValue(int64(*n)), *n == 0)
		return
	}
	switch v := a.item[name].(type) {
	case nil:
	case *types.AttributeValueMemberN:
		i, err := strconv.ParseInt(v.Value, 10, 64)
		if err != nil {
			a.fail(name)
		}
		*n = N(i)
	default:
		a.fail(name)
	}
}

func (a *archive) flag(name string, b *bool) {
	if !a.reading {
		a.set(name, &types.AttributeValueMemberBOOL{Value: true}, !*b)
		return
	}
	switch v := a.item[name].(type) {
	case nil:
	case *types.AttributeValueMemberBOOL:
		*b = v.Value
	default:
		a.fail(name)
	}
}

// stamp keeps a time as microseconds since 1970.
func (a *archive) stamp(name string, t *time.Time) {
	if !a.reading {
		cut(t)
		a.set(name, numberValue(t.UnixMicro()), t.IsZero())
		return
	}
	if !a.item.has(name) {
		return
	}
	var micros int64
	number(a, name, &micros)
	*t = time.UnixMicro(micros).UTC()
}

func (a *archive) bytes(name string, b *[]byte) {
	if !a.reading {
		a.set(name, &types.AttributeValueMemberB{Value: *b}, len(*b) == 0)
		return
	}
	switch v := a.item[name].(type) {
	case nil:
	case *types.AttributeValueMemberB:
		*b = v.Value
	default:
		a.fail(name)
	}
}

func (a *archive) digest(name string, d *usher.Digest) {
	if !a.reading {
		a.set(name, &types.AttributeValueMemberB{Value: bytes.Clone(d[:])}, d.IsZero())
		return
	}
	var b []byte
	a.bytes(name, &b)
	if b != nil && copy(d[:], b) != len(d) {
		a.fail(name)
	}
}

// texts keeps a list of strings, in order.
func texts[S ~string](a *archive, name string, list *[]S) {
	if !a.reading {
		var l types.AttributeValueMemberL
		for _, s := range *list {
			l.Value = append(l.Value, textValue(string(s)))
		}
		a.set(name, &l, len(*list) == 0)
		return
	}
	switch v := a.item[name].(type) {
	case nil:
	case *types.AttributeValueMemberL:
		for _, e := range v.Value {
			s, ok := e.(*types.AttributeValueMemberS)
			if !ok {
				a.fail(name)
				return
			}
			*list = append(*list, S(s.Value))
		}
	default:
		a.fail(name)
	}
}

// cut makes times what they are after they were stored and read: UTC, with
// microseconds.
func cut(times ...*time.Time) {
	for _, t := range times {
		*t = t.UTC().Truncate(time.Microsecond)
	}
}

// join makes one key of parts, in which no part can be taken for two.
func join(parts ...string) string {
	for i, p := range parts {
		parts[i] = escape.Replace(p)
	}
	return strings.Join(parts, "|")
}

var (
	escape   = strings.NewReplacer("%", "%25", "|", "%7C")
	unescape = strings.NewReplacer("%25", "%", "%7C", "|")
)

// yearOne is the zero time, from which orders count so that none is negative.
var yearOne = time.Time{}.UnixMicro()

// order is text that sorts as times do, to the microsecond.
func order(t time.Time) string { return fmt.Sprintf("%018d", t.UnixMicro()-yearOne) }

// orderOf is text that sorts as ids do by the time that they were made, and then
// by themselves.
func orderOf(id usher.ID) string { return order(id.Time()) + string(id) }
