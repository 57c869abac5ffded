package signaling

import "encoding/binary"

// maxDepth is how deeply a message may be nested, its outermost object included.
const maxDepth = 64

// scanner walks over JSON (RFC 8259) and builds nothing from it. It is as
// strict as encoding/json.
type scanner struct {
	data []byte
	pos  int
}

// peek returns the next byte, or 0 at the end, which no JSON has.
func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

// take skips the byte c if it is the next one.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.pos++
	return true
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// value skips one value, and reports whether it is one. It uses no stack: each
// container that is open is a bit, set for an object.
func (s *scanner) value() bool {
	var objects uint64
	depth := 1 // the object that the value is in
	for {
		s.space()
		switch c := s.peek(); c {
		case '{', '[':
			if depth == maxDepth {
				return false
			}
			s.pos++
			s.space()
			if s.take(c + 2) { // the closing bracket: { } and [ ] are two apart
				break
			}
			depth++
			objects <<= 1
			if c == '{' {
				objects |= 1
				if !s.key() {
					return false
				}
			}
			continue
		case '"':
			if _, _, ok := s.text(); !ok {
				return false
			}
		case 't':
			if !s.word("true") {
				return false
			}
		case 'f':
			if !s.word("false") {
				return false
			}
		case 'n':
			if !s.word("null") {
				return false
			}
		default:
			if !s.number() {
				return false
			}
		}
		// A value has ended, and perhaps what it was in.
		for {
			if depth == 1 {
				return true
			}
			s.space()
			if s.take(',') {
				if objects&1 == 1 {
					s.space()
					if !s.key() {
						return false
					}
				}
				break
			}
			closing := byte(']')
			if objects&1 == 1 {
				closing = '}'
			}
			if !s.take(closing) {
				return false
			}
			objects >>= 1
			depth--
		}
	}
}

// key skips the name of a member and its colon.
func (s *scanner) key() bool {
	if _, _, ok := s.text(); !ok {
		return false
	}
	s.space()
	return s.take(':')
}

// text skips a string and returns what is between its quotes, and whether that
// has escapes.
func (s *scanner) text() (raw []byte, escaped, ok bool) {
	if !s.take('"') {
		return nil, false, false
	}
	start := s.pos
	for {
		s.pos += plain(s.data[s.pos:])
		switch c := s.peek(); {
		case c == '"':
			raw = s.data[start:s.pos]
			s.pos++
			return raw, escaped, true
		case c != '\\':
			return nil, false, false // the end, or a control character
		}
		s.pos++
		escaped = true
		if !s.escape() {
			return nil, false, false
		}
	}
}

// plain returns how many bytes there are before a quote, a backslash, a control
// character or the end. It looks at eight at a time: payloads are mostly text.
func plain(p []byte) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	n := 0
	for ; len(p)-n >= 8; n += 8 {
		w := binary.LittleEndian.Uint64(p[n:])
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		// A top bit in it says that a byte is below 0x20, or equals one of the two.
		if ((w-ones*0x20)&^w|(quote-ones)&^quote|(slash-ones)&^slash)&tops != 0 {
			break
		}
	}
	for n < len(p) && p[n] >= 0x20 && p[n] != '"' && p[n] != '\\' {
		n++
	}
	return n
}

// escape skips what follows a backslash.
func (s *scanner) escape() bool {
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return true
	case 'u':
		s.pos++
		for range 4 {
			switch c := s.peek(); {
			case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
				s.pos++
			default:
				return false
			}
		}
		return true
	}
	return false
}

func (s *scanner) word(w string) bool {
	if len(s.data)-s.pos < len(w) || string(s.data[s.pos:s.pos+len(w)]) != w {
		return false
	}
	s.pos += len(w)
	return true
}

func (s *scanner) number() bool {
	s.take('-')
	if !s.take('0') && !s.digits() {
		return false
	}
	if s.take('.') && !s.digits() {
		return false
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		return s.digits()
	}
	return true
}

func (s *scanner) digits() bool {
	start := s.pos
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.pos++
	}
	return s.pos > start
}
