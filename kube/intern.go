package kube

import "unique"

// intern returns a string equal to s that all equal strings share, so that the
// few words which every request repeats are kept once.
func intern(s string) string {
	if s == "" {
		return ""
	}
	return unique.Make(s).Value()
}
