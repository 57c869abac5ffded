package config

import "strings"

// nearest returns the one of known that name was probably meant to be, or "".
// Case and separators don't count.
func nearest(name string, known []string) string {
	folded := fold(lastKey(name))
	best, bestDistance := "", len(folded)
	for _, candidate := range known {
		other := fold(lastKey(candidate))
		longer, shorter := max(len(folded), len(other)), min(len(folded), len(other))
		d := distance(folded, other)
		near := d <= longer/4
		// address for apiAddress
		partly := longer < 2*shorter && (strings.HasSuffix(other, folded) || strings.HasSuffix(folded, other))
		if (near || partly) && d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

func lastKey(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

func fold(key string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(key))
}

// distance counts the bytes to insert, delete or replace to turn a into b
// (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
