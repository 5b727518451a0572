package adapter

import "hash/maphash"

// maxWord is the longest string that is worth a look in words: names of labels
// and objects, not sentences.
const maxWord = 64

// words keeps the strings of one body that are likely to come again, since the
// alerts of a group share most of their labels. Places are taken over by
// whatever comes last, so that its size is fixed.
type words [256]string

var seed = maphash.MakeSeed()

// string returns b as a string.
func (w *words) string(b []byte) string {
	if len(b) > maxWord {
		return string(b)
	}
	place := &w[maphash.Bytes(seed, b)%uint64(len(w))]
	if *place != string(b) {
		*place = string(b)
	}
	return *place
}
