package agora

import (
	"errors"
	"strconv"
	"strings"

	"usher"
)

const (
	maxChannel = 63 // "less than 64 bytes"
	maxAccount = 255
	maxUserID  = 64 // of RTM and Chat

	digits = "0123456789"
)

// isNameByte reports whether names of channels and users may have c. There is
// no "*", which as a channel is every channel.
func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte(" !#$%&()+-:;<=.>?@[]^_{}|~,", c) >= 0
}

// checkChannel refuses what is not the name of one channel.
func checkChannel(name string) error {
	switch {
	case strings.Trim(name, " ") == "":
		return usher.Errorf(usher.Invalid, "room_name_invalid", "Agora needs the name of a channel.")
	case len(name) > maxChannel:
		return usher.Errorf(usher.Invalid, "room_name_invalid", "Agora's channel names have at most %d characters.", maxChannel)
	case !consistsOf(name, isNameByte):
		return usher.Errorf(usher.Invalid, "room_name_invalid",
			"Agora's channel names are made of letters, digits, spaces and !#$%%&()+-:;<=.>?@[]^_{}|~, only.")
	default:
		return nil
	}
}

// checkUser refuses what is not one user: in place of uid 0 Agora lets in
// anybody, and a number in another spelling than its own is another user to
// one SDK than to the next.
func checkUser(name string, longest int) error {
	_, isUID := parseUID(name)
	switch {
	case strings.Trim(name, " ") == "":
		return usher.Errorf(usher.Invalid, "subject_invalid", "Agora needs a user: a uid from 1 to 4294967295, or an account.")
	case isUID:
		return nil
	case looksNumeric(name):
		return usher.Errorf(usher.Invalid, "subject_invalid",
			"Agora's uids go from 1 to 4294967295, in digits only; an account must not look like a number.")
	case len(name) > longest:
		return usher.Errorf(usher.Invalid, "subject_invalid", "Agora's users have names of at most %d characters here.", longest)
	case !consistsOf(name, isNameByte):
		return usher.Errorf(usher.Invalid, "subject_invalid",
			"Agora's accounts are made of letters, digits, spaces and !#$%%&()+-:;<=.>?@[]^_{}|~, only.")
	default:
		return nil
	}
}

// parseUID reads a uid in its one spelling.
func parseUID(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && n > 0 && s[0] != '0'
}

// looksNumeric reports whether some language would read s as a number: "007",
// "1e3", "-1", " 5".
func looksNumeric(s string) bool {
	s = strings.TrimSpace(s)
	if !strings.ContainsAny(s, digits) {
		return false // a user may be called Nan
	}
	_, errInt := strconv.ParseInt(s, 0, 64)
	_, errFloat := strconv.ParseFloat(s, 64)
	return !errors.Is(errInt, strconv.ErrSyntax) || !errors.Is(errFloat, strconv.ErrSyntax)
}
