package collab

import (
	"encoding/binary"
	"errors"
)

// A body of the log, and a part of a snapshot, is a list of ops: after a byte
// that tells the version, one op after the other, each with its kind and those
// of its fields that the kind has. Numbers are varints, and texts have their
// length before them. An item that was deleted is inserted without a value; so
// the log never is, but a snapshot can be.

// codecVersion is the first byte of a body.
const codecVersion = 1

var errEncoding = errors.New("collab: the ops are damaged")

// appendOp adds an op to a body, which begins with codecVersion.
func appendOp(b []byte, op *Op) []byte {
	b = append(b, byte(op.Kind))
	b = appendText(b, op.Object)
	switch op.Kind {
	case PutKey:
		b = appendText(appendText(b, op.Key), op.Value)
	case DeleteKey:
		b = appendText(b, op.Key)
	case InsertItem:
		b = appendText(appendItem(appendItem(b, op.Item), op.After), op.Value)
	case PutItem:
		b = appendText(appendItem(b, op.Item), op.Value)
	case DeleteItem:
		b = appendItem(b, op.Item)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendItem(b []byte, id ItemID) []byte {
	return appendText(binary.AppendUvarint(b, uint64(id.Counter)), id.Writer)
}

// decode calls each for every op of a body, until that returns an error.
func decode(body []byte, each func(*Op) error) error {
	if len(body) == 0 || body[0] != codecVersion {
		return errEncoding
	}
	d := decoder{rest: body[1:]}
	for len(d.rest) > 0 {
		op := d.op()
		if d.bad {
			return errEncoding
		}
		if err := each(&op); err != nil {
			return err
		}
	}
	return nil
}

// decoder reads a body. Once it is bad it reads nothing more.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) op() Op {
	op := Op{Kind: OpKind(d.rest[0])}
	d.rest = d.rest[1:]
	op.Object = d.text()
	switch op.Kind {
	case CreateMap, CreateList:
	case PutKey:
		op.Key, op.Value = d.text(), d.text()
	case DeleteKey:
		op.Key = d.text()
	case InsertItem:
		op.Item, op.After, op.Value = d.item(), d.item(), d.text()
	case PutItem:
		op.Item, op.Value = d.item(), d.text()
	case DeleteItem:
		op.Item = d.item()
	default:
		d.bad = true
	}
	return op
}

func (d *decoder) number() uint64 {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 {
		d.bad, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) text() string {
	n := d.number()
	if n > uint64(len(d.rest)) {
		d.bad, d.rest = true, nil
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) item() ItemID {
	n := d.number()
	if n > MaxCounter {
		d.bad = true
	}
	return ItemID{Counter: int64(n), Writer: d.text()}
}
