package agora

import (
	"bytes"
	"cmp"
	"compress/zlib"
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/adler32"
	"io"
	"slices"
	"strings"

	"usher"
)

// Token007 is what a token of the current format, AccessToken2, is built from.
type Token007 struct {
	AppID string
	// IssuedAt is when the token begins, as a Unix time.
	IssuedAt uint32
	// Lifetime is how many seconds later the whole token ends. Agora ends every
	// token after a day.
	Lifetime uint32
	Salt     uint32
	// Services are in ascending order of type in the token; there may be several
	// of one type.
	Services []Service
}

const (
	// storedHeader is the header of a zlib stream (RFC 1950) and of its only
	// block, a stored one (RFC 1951, 3.2.4); the block's length follows.
	storedHeader = "\x78\x01\x01"
	payloadAt    = len(storedHeader) + 4
	infoAt       = payloadAt + 2 + signatureLength
)

// Build007 signs a token. It checks the form only: see [Platform.Issue] for
// what Agora will accept.
//
// The payload is stored, not compressed: any DEFLATE stream is read by Agora,
// and compressing would take ten times as long as all the rest.
func Build007(t Token007, certificate usher.Secret) (usher.Secret, error) {
	switch {
	case !isHex(t.AppID):
		return "", errors.New("agora: an app id is 32 hexadecimal digits")
	case !isHex(certificate.Reveal()):
		return "", errors.New("agora: a certificate is 32 hexadecimal digits")
	case len(t.Services) == 0:
		return "", errors.New("agora: a token needs a service")
	}
	var b [1024]byte
	stream, err := t.appendInfo(b[:infoAt])
	if err != nil {
		return "", err
	}
	payload := stream[payloadAt:]
	if len(payload) > maxPayload {
		return "", errTooLong
	}
	signature := t.sign(stream[infoAt:], certificate)
	copy(stream, storedHeader)
	le.PutUint16(stream[len(storedHeader):], uint16(len(payload)))
	le.PutUint16(stream[len(storedHeader)+2:], ^uint16(len(payload)))
	le.PutUint16(payload, signatureLength)
	copy(payload[2:], signature[:])
	stream = binary.BigEndian.AppendUint32(stream, adler32.Checksum(payload))

	var text [1408]byte
	return usher.Secret(base64.StdEncoding.AppendEncode(append(text[:0], version007...), stream)), nil
}

// appendInfo writes what is signed.
func (t Token007) appendInfo(dst []byte) ([]byte, error) {
	byType := func(a, b Service) int { return cmp.Compare(a.Type, b.Type) }
	services := t.Services
	if !slices.IsSortedFunc(services, byType) {
		services = slices.SortedStableFunc(slices.Values(services), byType)
	}
	dst = appendText(dst, t.AppID)
	dst = le.AppendUint32(dst, t.IssuedAt)
	dst = le.AppendUint32(dst, t.Lifetime)
	dst = le.AppendUint32(dst, t.Salt)
	dst = le.AppendUint16(dst, uint16(len(services)))
	for _, s := range services {
		var err error
		if dst, err = s.append(dst); err != nil {
			return nil, err
		}
		if len(dst) > infoAt+maxPayload {
			return nil, errTooLong
		}
	}
	return dst, nil
}

// sign signs with a key that is made from the certificate, the time and the
// salt, in which the numbers are the keys and the certificate is the message.
func (t Token007) sign(info []byte, certificate usher.Secret) [signatureLength]byte {
	var number [4]byte
	le.PutUint32(number[:], t.IssuedAt)
	key := mac(number[:], []byte(certificate.Reveal()))
	le.PutUint32(number[:], t.Salt)
	key = mac(number[:], key[:])
	return mac(key[:], info)
}

// Signed007 is a token that was read.
type Signed007 struct {
	Token007
	Signature [signatureLength]byte
	// Unread is what begins with the first service of a type that is not known:
	// where it ends is not known either.
	Unread []byte
	// info is what was signed, as it came.
	info []byte
}

// Parse007 reads a token and verifies nothing. What the token inflates to may
// have 64 KiB.
func Parse007(token usher.Secret) (Signed007, error) {
	text, ok := strings.CutPrefix(token.Reveal(), version007)
	if !ok || len(text) > maxText {
		return Signed007{}, malformed("it does not begin with 007, or is too long")
	}
	stream, err := decodeBase64(text, false)
	if err != nil {
		return Signed007{}, err
	}
	payload, err := inflate(stream)
	if err != nil {
		return Signed007{}, err
	}
	r := reader{rest: payload}
	signature := r.bytes()
	if len(signature) != signatureLength {
		return Signed007{}, malformed("its signature has the wrong length")
	}
	s := Signed007{Signature: [signatureLength]byte(signature), info: r.rest}
	if s.AppID = string(r.bytes()); !isHex(s.AppID) {
		return Signed007{}, malformed("its app id is not 32 hexadecimal digits")
	}
	s.IssuedAt, s.Lifetime, s.Salt = r.uint32(), r.uint32(), r.uint32()
	for n := r.uint16(); n > 0; n-- {
		here := r.rest
		service, known, err := r.service()
		switch {
		case err != nil:
			return Signed007{}, err
		case r.short:
			return Signed007{}, malformed("it is cut short")
		case !known:
			s.Unread = here
			return s, nil
		}
		s.Services = append(s.Services, service)
	}
	switch {
	case r.short:
		return Signed007{}, malformed("it is cut short")
	case len(r.rest) > 0:
		return Signed007{}, malformed("something follows its end")
	}
	return s, nil
}

// Verify reports whether the token is signed with the certificate. It does not
// look at the times.
func (s Signed007) Verify(certificate usher.Secret) bool {
	want := s.sign(s.info, certificate)
	return hmac.Equal(s.Signature[:], want[:])
}

// inflate reads a zlib stream to its end, and no further than a token can be.
func inflate(stream []byte) ([]byte, error) {
	source := bytes.NewReader(stream)
	z, err := zlib.NewReader(source)
	if err != nil {
		return nil, malformed("it is not compressed with zlib")
	}
	payload, err := io.ReadAll(io.LimitReader(z, maxPayload+1))
	switch {
	case err != nil:
		return nil, malformed("its compressed part is damaged or cut short")
	case len(payload) > maxPayload:
		return nil, malformed("it inflates to more than a token can be")
	case source.Len() > 0:
		return nil, malformed("something follows its compressed part")
	}
	return payload, nil
}
