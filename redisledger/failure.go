package redisledger

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/rueidis"
)

var (
	// errBadAnswer means that Redis holds something that this package never
	// wrote there.
	errBadAnswer = errors.New("unexpected answer of Redis")
	// errCrowded means that a call found no room among those under way in time.
	errCrowded = errors.New("too many calls to Redis under way")
	// errSlow means that Redis answered, and took too long for it.
	errSlow = errors.New("too slow")
	// errSilent means that many calls in a row were given up before they could
	// tell whether Redis is there.
	errSilent = errors.New("no answer to many calls in a row")
)

// fault says what an error of a call means for those that come after it.
type fault int

const (
	// ours is a fault of the call: another one may fare better.
	ours fault = iota
	// hurried means that the caller left before Redis had its time.
	hurried
	// away means that no call is of use for now.
	away
)

// codes are the errors of a Redis that can't serve the ledger for now, whatever
// it is asked.
var codes = []string{
	"ASK", "BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "MOVED", "NOAUTH", "NOPERM",
	"NOREPLICAS", "OOM", "READONLY", "TRYAGAIN", "UNKILLABLE", "WRONGPASS",
}

// refusals are errors without a code of their own that mean the same.
var refusals = []string{
	"ERR max number of clients reached",
	"can't run this command or subcommand", // NOPERM inside a script
}

// judge says what the error of a call means. Where it is the end of a wait,
// waited says whether that was long enough.
func judge(err error, waited bool) fault {
	if answer, ok := rueidis.IsRedisErr(err); ok {
		if refuses(answer.Error()) {
			return away
		}
		return ours
	}
	switch {
	case errors.Is(err, errBadAnswer), rueidis.IsParseErr(err):
		return ours
	case errors.Is(err, context.Canceled), errors.Is(err, rueidis.ErrClosing):
		return hurried
	case errors.Is(err, context.DeadlineExceeded) && !waited:
		return hurried
	default:
		return away
	}
}

// refuses reports whether an error's text is that of a Redis which can't serve.
func refuses(text string) bool {
	code, _, _ := strings.Cut(text, " ")
	for _, known := range codes {
		// Redis 6 puts the error of a command behind that of its script.
		if code == known || code == "ERR" && strings.Contains(text, "-"+known+" ") {
			return true
		}
	}
	for _, known := range refusals {
		if strings.Contains(text, known) {
			return true
		}
	}
	return false
}
