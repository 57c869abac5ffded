package collab

import (
	"cmp"
	"strings"
)

// compareItems orders the items that were inserted behind the same one.
func compareItems(a, b ItemID) int {
	return cmp.Or(cmp.Compare(b.Counter, a.Counter), compareWriters(a.Writer, b.Writer))
}

// punctuation is what a writer's name can have beside letters and digits, in the
// order in which the root collation of Unicode (CLDR) has it.
const punctuation = " _-,;!?.'\"()[]{}@*/\\&#%`^+<=>|~$"

// compareWriters orders names as String.localeCompare does in clients: by the
// letters whatever their case, and if those are all the same with the small
// before the capital. Beyond ASCII it orders by bytes: only ids of very old
// clients can have such names.
func compareWriters(a, b string) int {
	for i := range min(len(a), len(b)) {
		if c := cmp.Compare(weight(a[i]), weight(b[i])); c != 0 {
			return c
		}
	}
	if c := cmp.Compare(len(a), len(b)); c != 0 {
		return c
	}
	return -strings.Compare(a, b) // capitals have the lower codes
}

// weight is a character's place in the alphabet, whatever its case.
func weight(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return 0x100 + int(c)
	case c >= 'a' && c <= 'z':
		return 0x200 + int(c-'a')
	case c >= 'A' && c <= 'Z':
		return 0x200 + int(c-'A')
	case c < 0x80:
		return strings.IndexByte(punctuation, c)
	default:
		return 0x300 + int(c)
	}
}
