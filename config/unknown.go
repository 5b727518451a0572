package config

import "strings"

// unknownKey says of a key that is none of keys what may have been meant.
func unknownKey(key string, keys []string) string {
	if near, ok := nearest(key, keys); ok {
		return "unknown key; did you mean " + near + "?"
	}
	if len(keys) == 0 {
		return "unknown key; there are none here in this version"
	}
	return "unknown key; those known here are " + strings.Join(keys, ", ")
}

// nearest returns the key that differs from a mistyped one in the fewest
// letters, if these are at most a third of it.
func nearest(mistyped string, keys []string) (string, bool) {
	best, found := max(1, len(mistyped)/3)+1, ""
	for _, key := range keys {
		// Keys are short: what is far longer than any is not worth comparing.
		if len(mistyped) > 2*len(key)+2 {
			continue
		}
		if n := distance(strings.ToLower(mistyped), strings.ToLower(key)); n < best {
			best, found = n, key
		}
	}
	return found, found != ""
}

// distance is the Levenshtein distance of a and b, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
