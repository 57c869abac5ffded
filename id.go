package usher

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"time"
)

// ID names a room, participant, client or decision: 26 characters of lower-case
// base32 (RFC 4648, no padding) that encode a version 1 UUID, the form that the
// ids of Pexip VPaaS have. An ID carries the time it was made, and is no secret.
type ID string

// idLength is the length of 16 bytes in unpadded base32.
const idLength = 26

// uuidEpoch is 15 October 1582, from which version 1 UUIDs count in units of
// 100 ns (RFC 9562, section 5.1).
var uuidEpoch = time.Date(1582, time.October, 15, 0, 0, 0, 0, time.UTC).Unix()

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// ErrMalformedID reports text that is not an [ID].
var ErrMalformedID = errors.New("malformed id")

// ParseID checks that s is an id in its one canonical spelling. It accepts any
// 16 bytes, since another VPaaS may make other UUIDs than ours.
func ParseID(s string) (ID, error) {
	if len(s) != idLength {
		return "", ErrMalformedID
	}
	var b [16]byte
	var text [idLength]byte
	copy(text[:], s)
	if _, err := idEncoding.Decode(b[:], text[:]); err != nil {
		return "", ErrMalformedID
	}
	// The last character carries two unused bits; only zeroes are canonical,
	// or one room would have four names.
	if idEncoding.Encode(text[:], b[:]); string(text[:]) != s {
		return "", ErrMalformedID
	}
	return ID(s), nil
}

// Time is when the id was made, in UTC to the microsecond. It is the zero time
// for an id that is not a version 1 UUID.
func (id ID) Time() time.Time {
	ticks, ok := id.ticks()
	if !ok {
		return time.Time{}
	}
	return time.Unix(uuidEpoch+ticks/1e7, ticks%1e7*100).UTC().Truncate(time.Microsecond)
}

func (id ID) ticks() (int64, bool) {
	var b [16]byte
	var text [idLength]byte
	if len(id) != idLength {
		return 0, false
	}
	copy(text[:], id)
	if _, err := idEncoding.Decode(b[:], text[:]); err != nil || b[6]>>4 != 1 {
		return 0, false
	}
	low := uint64(binary.BigEndian.Uint32(b[0:4]))
	mid := uint64(binary.BigEndian.Uint16(b[4:6]))
	high := uint64(binary.BigEndian.Uint16(b[6:8]) & 0x0fff)
	return int64(high<<48 | mid<<32 | low), true
}

// IDSource makes ids that grow in time, also when the clock steps back, and
// that differ from those of every other source. It is safe for concurrent use.
type IDSource struct {
	now  func() time.Time
	mu   sync.Mutex
	last int64
	tail [8]byte
}

// NewIDSource returns a source that reads its clock from now and takes the
// part that sets it apart from other sources from random.
func NewIDSource(now func() time.Time, random io.Reader) (*IDSource, error) {
	s := &IDSource{now: now}
	if _, err := io.ReadFull(random, s.tail[:]); err != nil {
		return nil, err
	}
	s.tail[0] = s.tail[0]&0x3f | 0x80 // RFC variant
	s.tail[2] |= 0x01                 // a random node id has the multicast bit
	return s, nil
}

// New makes an id.
func (s *IDSource) New() ID {
	now := s.now()
	ticks := (now.Unix()-uuidEpoch)*1e7 + int64(now.Nanosecond())/100
	s.mu.Lock()
	if ticks <= s.last {
		ticks = s.last + 1
	}
	s.last = ticks
	s.mu.Unlock()

	var b [16]byte
	binary.BigEndian.PutUint32(b[0:4], uint32(ticks))
	binary.BigEndian.PutUint16(b[4:6], uint16(ticks>>32))
	binary.BigEndian.PutUint16(b[6:8], uint16(ticks>>48)&0x0fff|0x1000)
	copy(b[8:], s.tail[:])
	var text [idLength]byte
	idEncoding.Encode(text[:], b[:])
	return ID(text[:])
}

// SystemIDs is an [IDSource] on the system's clock and random numbers.
func SystemIDs() *IDSource {
	s, err := NewIDSource(time.Now, rand.Reader)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return s
}
