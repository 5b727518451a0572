// Package audit keeps who sent what and what became of it, in lines that nobody
// can change, remove or reorder without it being seen.
//
// A line is a JSON object of this form, whose first two and last members are
// always there and in this place:
//
//	{"seq":7,"prev":"<sum of line 6>","at":"…","kind":"…",…,"sum":"<64 hex>"}
//
// Its sum is the SHA-256 of all that stands before `,"sum"`, so that each line
// rests on all lines before it. With a key a further member follows, "mac": the
// HMAC-SHA256 of the sum's 32 bytes, which only who has the key can make anew.
//
// Lines are appended to one file. At its size it is renamed to its own name, a
// dot, and the sequence number of its first line in 12 digits; the next one goes
// on with the chain, as does the next process. Libraries that rotate logs do so
// within Write, where no line can be put at the beginning of the next file, and
// none cuts off what a crash tore.
//
// No body is ever in a line, no header but the User-Agent, and no control
// character or mark that turns the direction of writing.
package audit

import (
	"time"

	"kubernaut.io/gateway"
)

// Kinds of lines.
const (
	// KindStart is the first line of a process.
	KindStart = "start"
	// KindFile is the first line of a file that is not the first.
	KindFile = "file"
	// KindRequest is a request that was answered, refused ones too.
	KindRequest = "request"
	// KindDecision is what was decided about one signal.
	KindDecision = "decision"
	// KindRules says that rules came into force.
	KindRules = "rules"
	// KindReloaded says that what people order in the cluster was read anew.
	KindReloaded = "reloaded"
	// KindMode says which mode people have ordered for the whole cluster.
	KindMode = "mode"
	// KindRefused says that a newer version of something was refused, all of it or
	// a part.
	KindRefused = "refused"
	// KindGap says how many lines are missing in this place.
	KindGap = "gap"
	// KindCheckpoint comes now and then; its sum is published elsewhere.
	KindCheckpoint = "checkpoint"
	// KindStop is the last line of a process that stopped in order.
	KindStop = "stop"
)

// Why lines are missing.
const (
	// WhyQueue means that more came than could be written.
	WhyQueue = "queue"
	// WhyDisk means that the file could not be written.
	WhyDisk = "disk"
)

// Whys lists why lines are missing.
var Whys = [...]string{WhyQueue, WhyDisk}

// Where a signal of a decision comes from that no request brought.
const (
	FromSpool  = "spool"
	FromParked = "parked"
)

const (
	// MaxLineBytes is the longest line that is read; none that is written comes
	// near.
	MaxLineBytes = 64 << 10
	// maxValue bounds what others chose, in characters, escapes counted.
	maxValue = 256
	// MinKeyBytes is the shortest key that is taken: a shorter one might be found
	// by trying.
	MinKeyBytes = 16
)

// Request is a request to the webhooks' port, and its answer.
type Request struct {
	// At is when it was answered, and Took how long that took.
	At   time.Time
	Took time.Duration
	ID   string
	// Source is the configured source's name, empty where none was meant.
	Source string
	// Principal is whom the credentials stand for, empty where there were none.
	Principal string
	// Client is the address that the request came from.
	Client                  string
	UserAgent, Method, Path string
	Status                  int
	// Reason says why it was refused, in words that quote nothing of it.
	Reason string
	// Names are those of the signals, and Decisions what was decided about them;
	// both are empty where it did not come to that. They are kept, and must not
	// change.
	Names     []string
	Decisions []gateway.Decision
}

// torn is what a start found behind the last whole line, and set aside.
type torn struct {
	Bytes int64 `json:"bytes"`
	// Lines is how many line ends are in it: none after a crash.
	Lines int64 `json:"lines"`
	// SHA256 is of what was set aside, in hex, and Kept the name of the file that
	// has it, empty where it could not be kept.
	SHA256 string `json:"sha256"`
	Kept   string `json:"kept,omitempty"`
}
