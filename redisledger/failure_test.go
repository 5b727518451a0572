package redisledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/redis/rueidis"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		err    error
		waited bool
		want   fault
	}{
		{"connection lost", io.EOF, false, away},
		{"silence", context.DeadlineExceeded, true, away},
		{"silence for a moment", context.DeadlineExceeded, false, hurried},
		{"a caller that left", context.Canceled, true, hurried},
		{"a client that was given up", rueidis.ErrClosing, false, hurried},
		{"a bad answer", fmt.Errorf("%w: x", errBadAnswer), false, ours},
		{"no slots", rueidis.ErrNoSlot, false, away},
		{"something else", errors.New("something else"), false, away},
	}
	for _, test := range tests {
		if got := judge(test.err, test.waited); got != test.want {
			t.Errorf("%s: judged %d, want %d", test.name, got, test.want)
		}
	}
}

// TestRefuses has the answers of servers, of which those of Redis 6 carry the
// command's error behind the script's.
func TestRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{
		"OOM command not allowed when used memory > 'maxmemory'. script: 5c, on @user_script:30.":              true,
		"READONLY You can't write against a read only replica.":                                                true,
		"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to":                      true,
		"CLUSTERDOWN Hash slot not served":                                                                     true,
		"NOAUTH Authentication required.":                                                                      true,
		"ERR max number of clients reached":                                                                    true,
		"ERR Error running script (call to f_5c): @user_script:30: @user_script: 30: -OOM command not allowed": true,
		"ERR value is not an integer or out of range":                                                          false,
		"WRONGTYPE Operation against a key holding the wrong kind of value":                                    false,
		"NOSCRIPT No matching script. Please use EVAL.":                                                        false,
		"ERR user_script:1: attempt to compare nil with number script: 5c, on @user_script:1.":                 false,
		"OOMPH": false,
		"":      false,
	}
	for text, want := range tests {
		if got := refuses(text); got != want {
			t.Errorf("refuses(%q) = %v", text, got)
		}
	}
}

func FuzzParseEnd(f *testing.F) {
	for _, seed := range []string{"", " ", "1 2", " 1794000000000000", "-62135596800000000 1", "1  2", "9223372036854775807 -9223372036854775808", "x 1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		startsAt, resolvedAt, err := parseEnd(s)
		if err != nil {
			if !errors.Is(err, errBadAnswer) || !startsAt.IsZero() || !resolvedAt.IsZero() {
				t.Errorf("parseEnd(%q) = %v, %v, %v", s, startsAt, resolvedAt, err)
			}
			return
		}
		// What it took means the same when written again.
		again := micros(startsAt) + " " + micros(resolvedAt)
		from, to, err := parseEnd(again)
		if err != nil || !from.Equal(startsAt) || !to.Equal(resolvedAt) {
			t.Errorf("parseEnd(%q) = %v, %v, %v; of %q it was %v, %v", again, from, to, err, s, startsAt, resolvedAt)
		}
	})
}
