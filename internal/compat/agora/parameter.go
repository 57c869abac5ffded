package agora

import (
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"usher"
)

const (
	usualLifetime = time.Hour
	// maxLifetime is when Agora ends every token, whatever is in it.
	maxLifetime = 24 * time.Hour
	// maxChannel is in bytes.
	maxChannel = 63
)

// What is wrong with a parameter. The codes of the first four stand for the
// words of the token servers, see said.
var (
	errNoChannel = usher.Errorf(usher.Invalid, "channel_required", "The name of a channel is needed.")
	errNoUser    = usher.Errorf(usher.Invalid, "uid_required", "A user is needed: a uid from 1 to 4294967295, or an account.")
	errRole      = usher.Errorf(usher.Invalid, "role_incorrect", "The role must be publisher, or audience, for which subscriber is another word.")
	errTokenType = usher.Errorf(usher.Invalid, "token_type_invalid", "The type of token must be uid or userAccount.")
	errChannel   = usher.Errorf(usher.Invalid, "channel_invalid",
		"A channel's name has 1 to %d letters, digits, spaces and !#$%%&()+-:;<=.>?@[]^_{}|~, and can't be *, which is every channel.", maxChannel)
	errUID = usher.Errorf(usher.Invalid, "uid_invalid",
		"A uid is a number from 1 to 4294967295, in digits only and without leading zeros; 0 would be any user. For a name use userAccount.")
	errExpiry = usher.Errorf(usher.Invalid, "expiry_invalid",
		"The expiry is a whole number of seconds from 1 to %d, in digits only and named once: Agora ends every token after a day.", int(maxLifetime.Seconds()))
	errApp = usher.Errorf(usher.Forbidden, "admin_token_refused",
		"Tokens of administrators, who may do anything in the whole project, are not issued. Ask for a user's token.")
)

// checkChannel is asked before the room is looked for, so that no room is made
// by a name that no channel can have.
func checkChannel(name string) error {
	if name == "" {
		return errNoChannel
	}
	foreign := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune(" !#$%&()+-:;<=.>?@[]^_{}|~,", r)
	}
	if len(name) > maxChannel || strings.ContainsFunc(name, foreign) || strings.Trim(name, " ") == "" {
		return errChannel
	}
	return nil
}

// userOf returns the user that is named as a uid or as an account. What an
// account may be, the platform knows.
func userOf(tokenType, name string) (string, error) {
	switch tokenType {
	case "userAccount":
		return name, nil
	case "uid":
		n, err := strconv.ParseUint(name, 10, 32)
		if err != nil || n == 0 || name[0] == '0' {
			return "", errUID
		}
		return name, nil
	default:
		return "", errTokenType
	}
}

func roleOf(name string) (usher.Role, error) {
	switch name {
	case "publisher":
		return usher.Speaker, nil
	case "audience", "subscriber":
		return usher.Viewer, nil
	default:
		return "", errRole
	}
}

// lifetimeOf reads the parameter expiry of a query; without one, or with an
// empty one, it is an hour.
func lifetimeOf(query string) (time.Duration, error) {
	values, err := valuesOf(query)
	if err != nil {
		return 0, err
	}
	return lifetimeIn(values, "expiry")
}

func valuesOf(query string) (url.Values, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, usher.Errorf(usher.Invalid, "query_invalid", "What stands behind the question mark can't be read.")
	}
	return values, nil
}

func lifetimeIn(values url.Values, name string) (time.Duration, error) {
	named := values[name]
	switch {
	case len(named) > 1:
		return 0, errExpiry
	case len(named) == 0 || named[0] == "":
		return usualLifetime, nil
	}
	n, err := strconv.ParseUint(named[0], 10, 32)
	if err != nil || n == 0 {
		return 0, errExpiry
	}
	return seconds(int64(n))
}

// only returns the one value of a parameter, or "". Of two, the servers that we
// stand in for take either.
func only(values url.Values, name string) (string, error) {
	if len(values[name]) > 1 {
		return "", usher.Errorf(usher.Invalid, "query_invalid", "The parameter %s is there more than once.", name)
	}
	return values.Get(name), nil
}

// seconds returns a number of seconds as the lifetime of a token; 0 is the
// usual one.
func seconds(n int64) (time.Duration, error) {
	switch {
	case n == 0:
		return usualLifetime, nil
	case n < 0 || n > math.MaxUint32 || time.Duration(n)*time.Second > maxLifetime:
		return 0, errExpiry
	default:
		return time.Duration(n) * time.Second, nil
	}
}
