package agora

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
)

const (
	version006 = "006"
	version007 = "007"

	idLength        = 32 // of an app id, and of a certificate
	signatureLength = sha256.Size

	// maxPayload bounds what a 007 token inflates to, and maxText what is read
	// of any token, so that neither a zip bomb nor a long text costs much.
	maxPayload = math.MaxUint16
	maxText    = 128 << 10
)

var le = binary.LittleEndian

// malformed says why a text is not a token, as the end of a sentence.
type malformed string

func (m malformed) Error() string { return "agora: malformed token: " + string(m) }

// Privilege is one right in a token and when it ends: in a 006 token at a Unix
// time, in a 007 token so many seconds after the token was issued. 0 is when
// the token ends.
type Privilege struct {
	ID      uint16
	Expires uint32
}

// inOrder returns the privileges in ascending order, as tokens have them.
func inOrder(privileges []Privilege) ([]Privilege, error) {
	byID := func(a, b Privilege) int { return cmp.Compare(a.ID, b.ID) }
	if !slices.IsSortedFunc(privileges, byID) {
		privileges = slices.Clone(privileges)
		slices.SortFunc(privileges, byID)
	}
	for i := 1; i < len(privileges); i++ {
		if privileges[i].ID == privileges[i-1].ID {
			return nil, fmt.Errorf("agora: the privilege %d is there twice", privileges[i].ID)
		}
	}
	return privileges, nil
}

func appendPrivileges(dst []byte, privileges []Privilege) []byte {
	dst = le.AppendUint16(dst, uint16(len(privileges)))
	for _, p := range privileges {
		dst = le.AppendUint32(le.AppendUint16(dst, p.ID), p.Expires)
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	return append(le.AppendUint16(dst, uint16(len(s))), s...)
}

// reader takes fields off the front of a message. Beyond its end it yields
// zeroes and remembers that it did.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.rest) {
		r.rest, r.short = nil, true
		return nil
	}
	field := r.rest[:n]
	r.rest = r.rest[n:]
	return field
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return le.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return le.Uint32(b)
	}
	return 0
}

func (r *reader) bytes() []byte { return r.take(int(r.uint16())) }

// privileges reads a list that must ascend, or one reader would take the first
// of two and another the last.
func (r *reader) privileges() ([]Privilege, error) {
	n := int(r.uint16())
	list := reader{rest: r.take(6 * n)}
	if r.short {
		return nil, malformed("it is cut short")
	}
	privileges := make([]Privilege, n)
	for i := range privileges {
		privileges[i] = Privilege{list.uint16(), list.uint32()}
		if i > 0 && privileges[i].ID <= privileges[i-1].ID {
			return nil, malformed("its privileges are not in ascending order, or one is there twice")
		}
	}
	return privileges, nil
}

// mac is HMAC-SHA256 (RFC 2104). A token takes three, of texts so short that
// setting up crypto/hmac costs twice what they do.
func mac(key, message []byte) [signatureLength]byte {
	var inner [sha256.BlockSize + 512]byte
	var outer [sha256.BlockSize + sha256.Size]byte
	if len(key) > sha256.BlockSize {
		digest := sha256.Sum256(key)
		key = digest[:]
	}
	copy(inner[:], key)
	copy(outer[:], key)
	for i := range sha256.BlockSize {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	digest := sha256.Sum256(append(inner[:sha256.BlockSize], message...))
	copy(outer[sha256.BlockSize:], digest[:])
	return sha256.Sum256(outer[:])
}

// decodeBase64 reads the one spelling that each text has, and that without its
// padding if that is not asked for.
func decodeBase64(s string, padded bool) ([]byte, error) {
	encoding := base64.StdEncoding
	if !padded && !strings.HasSuffix(s, "=") {
		encoding = base64.RawStdEncoding
	}
	b, err := encoding.Strict().DecodeString(s)
	// The decoder skips line breaks.
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return nil, malformed("what follows its version is not base64")
	}
	return b, nil
}

// isHex reports whether s has the form of app ids and certificates.
func isHex(s string) bool {
	return len(s) == idLength && consistsOf(s, func(c byte) bool {
		return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
	})
}

func consistsOf(s string, allowed func(byte) bool) bool {
	for i := range len(s) {
		if !allowed(s[i]) {
			return false
		}
	}
	return true
}
