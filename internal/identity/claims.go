package identity

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/json"
)

// claims are those of the registered claims of a JWT (RFC 7519, section 4.1)
// that we read, and the scope of RFC 8693.
type claims struct {
	Issuer    string      `json:"iss"`
	Subject   string      `json:"sub"`
	Audience  audience    `json:"aud"`
	Expires   numericDate `json:"exp"`
	NotBefore numericDate `json:"nbf"`
	IssuedAt  numericDate `json:"iat"`
	ID        string      `json:"jti"`
	// Scope is nil where the token says nothing of it.
	Scope *string `json:"scope"`
}

// decodeClaims reads the payload of a token. Unlike the standard library's, the
// decoder used here takes names as they are spelled and refuses one that
// occurs twice, so that no two readers of a token see different claims.
func decodeClaims(payload []byte) (claims, error) {
	var c claims
	if !utf8.Valid(payload) {
		return c, errors.New("the claims are not UTF-8")
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return c, errors.New("the claims can't be read") // err may quote them
	}
	return c, nil
}

// audience is one name or several.
type audience []string

// UnmarshalJSON takes a string or an array of strings.
func (a *audience) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		var one string
		if err := json.Unmarshal(data, &one); err != nil {
			return err
		}
		*a = audience{one}
		return nil
	}
	var several []string
	err := json.Unmarshal(data, &several)
	*a = several
	return err
}

// numericDate is a time in seconds since 1970 that may have a fraction, kept to
// the microsecond. The zero numericDate is none.
type numericDate struct{ time.Time }

// maxDate is in the year 5138: far beyond any honest date, and well inside
// what the conversions below can hold.
const maxDate = 1e11

// UnmarshalJSON takes a number.
func (d *numericDate) UnmarshalJSON(data []byte) error {
	seconds, err := strconv.ParseFloat(string(data), 64)
	if err != nil || seconds < 0 || seconds > maxDate {
		return errors.New("not a date")
	}
	d.Time = time.UnixMicro(int64(math.Round(seconds * 1e6))).UTC()
	return nil
}

// MarshalJSON writes microseconds, so that a token which is issued right after
// its client's key was rotated is not taken for an older one.
func (d numericDate) MarshalJSON() ([]byte, error) {
	micro := d.UnixMicro()
	if micro%1e6 == 0 {
		return strconv.AppendInt(nil, micro/1e6, 10), nil
	}
	return fmt.Appendf(nil, "%d.%06d", micro/1e6, micro%1e6), nil
}
