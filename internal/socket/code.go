package socket

import (
	"strconv"
	"unicode/utf8"
)

// Code says why a connection was closed (RFC 6455, section 7.4, and the IANA
// registry). Those from 4000 to 4999 belong to the applications: each transport
// defines its own.
type Code uint16

// The close codes that are the same for every transport.
const (
	CodeNormal        Code = 1000 // the purpose is fulfilled; the one code that means "left on purpose"
	CodeGoingAway     Code = 1001 // a page was left, or a server goes down
	CodeProtocolError Code = 1002 // a frame breaks the protocol: unmasked, reserved bits, fragments out of order
	CodeUnsupported   Code = 1003 // a binary message, where only text is spoken
	CodeNoStatus      Code = 1005 // never sent: the peer closed without a code
	CodeAbnormal      Code = 1006 // never sent: the connection was lost without a close
	CodeInvalidText   Code = 1007 // a text message that is not UTF-8
	CodePolicy        Code = 1008 // forbidden, and no more exact code fits
	CodeTooBig        Code = 1009 // a message larger than is accepted
	CodeInternal      Code = 1011 // our fault
	CodeRestart       Code = 1012 // the server restarts: come back soon
	CodeTryLater      Code = 1013 // overloaded: come back later

	CodeIdle    = CodeGoingAway // nothing was heard of the peer, not even a pong
	CodeTooSlow = CodeTryLater  // the peer reads more slowly than it is written to
)

// String returns what the code means, for logs.
func (c Code) String() string {
	switch c {
	case CodeNormal:
		return "normal"
	case CodeGoingAway:
		return "going away"
	case CodeProtocolError:
		return "protocol error"
	case CodeUnsupported:
		return "unsupported data"
	case CodeNoStatus:
		return "no status"
	case CodeAbnormal:
		return "abnormal"
	case CodeInvalidText:
		return "invalid text"
	case CodePolicy:
		return "policy violation"
	case CodeTooBig:
		return "too big"
	case CodeInternal:
		return "internal error"
	case CodeRestart:
		return "service restart"
	case CodeTryLater:
		return "try again later"
	}
	return strconv.Itoa(int(c))
}

// onWire reports whether the code may stand in a close frame.
func (c Code) onWire() bool {
	switch {
	case c >= 1000 && c <= 1003, c >= 1007 && c <= 1014, c >= 3000 && c <= 4999:
		return true
	}
	return false
}

// maxReason is what a control frame has left for a reason beside the code.
const maxReason = 123

// cutReason shortens a reason to what fits, at the end of a rune.
func cutReason(s string) string {
	if len(s) <= maxReason {
		return s
	}
	n := maxReason
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
