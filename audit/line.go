package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/terminal"
)

// sum is the SHA-256 of a line.
type sum [sha256.Size]byte

// head is the last line of a chain; the zero head is before the first.
type head struct {
	seq uint64
	sum sum
}

func (h head) String() string {
	return strconv.FormatUint(h.seq, 10) + ":" + hex.EncodeToString(h.sum[:])
}

// chain makes lines. It belongs to one goroutine.
type chain struct {
	head
	mac   hash.Hash // nil without a key
	begin int       // of the line under way, in text
	text  []byte
	hash  [sha256.Size]byte
}

func newChain(key []byte) *chain {
	c := &chain{}
	if len(key) > 0 {
		c.mac = hmac.New(sha256.New, key)
	}
	return c
}

// open begins a line behind those that are in c.text.
func (c *chain) open(at time.Time, kind string) {
	c.begin = len(c.text)
	c.text = append(c.text, `{"seq":`...)
	c.text = strconv.AppendUint(c.text, c.seq+1, 10)
	c.text = append(c.text, `,"prev":"`...)
	c.text = hex.AppendEncode(c.text, c.sum[:])
	c.text = append(c.text, `","at":"`...)
	c.text = at.UTC().AppendFormat(c.text, time.RFC3339Nano)
	c.text = append(c.text, `","kind":"`...)
	c.text = append(c.text, kind...)
	c.text = append(c.text, '"')
}

// close ends the line, which is the chain's head from then on.
func (c *chain) close() {
	c.seq++
	c.sum = sha256.Sum256(c.text[c.begin:])
	c.text = append(c.text, sumMember...)
	c.text = hex.AppendEncode(c.text, c.sum[:])
	if c.mac != nil {
		c.mac.Reset()
		c.mac.Write(c.sum[:])
		c.text = append(c.text, macMember...)
		c.text = hex.AppendEncode(c.text, c.mac.Sum(c.hash[:0]))
	}
	c.text = append(c.text, "\"}\n"...)
}

// string appends a member, unless it has no value.
func (c *chain) string(member, value string) {
	if value == "" {
		return
	}
	c.text = append(c.text, member...)
	// An error would speak of invalid UTF-8, which clean leaves none of.
	c.text, _ = jsontext.AppendQuote(c.text, clean(value))
}

// plain is string of a value that is one of ours, and short.
func (c *chain) plain(member, value string) {
	if value == "" {
		return
	}
	c.text = append(append(append(append(c.text, member...), '"'), value...), '"')
}

func (c *chain) number(member string, value int64) {
	c.text = strconv.AppendInt(append(c.text, member...), value, 10)
}

// clean returns what others chose without what could drive a terminal, in
// bounded length.
func clean(value string) string {
	if len(value) > 4*maxValue { // bytes: what is behind would be cut anyway
		value = value[:4*maxValue]
	}
	if value = terminal.Clean(value); len(value) <= maxValue {
		return value
	}
	return terminal.Cut(value, maxValue)
}

// request makes the line of a request.
func (c *chain) request(r *Request) {
	c.open(r.At, KindRequest)
	c.string(`,"requestId":`, r.ID)
	c.string(`,"source":`, r.Source)
	c.string(`,"principal":`, r.Principal)
	c.string(`,"client":`, r.Client)
	c.string(`,"userAgent":`, r.UserAgent)
	c.string(`,"method":`, r.Method)
	c.string(`,"path":`, r.Path)
	c.number(`,"status":`, int64(r.Status))
	c.string(`,"reason":`, r.Reason)
	c.number(`,"signals":`, int64(len(r.Decisions)))
	c.number(`,"microseconds":`, r.Took.Microseconds())
	c.close()
}

// decided is a decision with what its line has besides.
type decided struct {
	at                      time.Time
	requestID, source, from string
	index                   int // -1 for none
	name                    string
	decision                *gateway.Decision
}

// decision makes the line of a decision.
func (c *chain) decision(d decided) {
	c.open(d.at, KindDecision)
	c.string(`,"requestId":`, d.requestID)
	if d.index >= 0 {
		c.number(`,"index":`, int64(d.index))
	}
	c.plain(`,"from":`, d.from)
	c.string(`,"source":`, d.source)
	c.string(`,"signal":`, d.name)
	if !d.decision.Fingerprint.IsZero() {
		c.text = append(c.text, `,"fingerprint":"`...)
		c.text = hex.AppendEncode(c.text, d.decision.Fingerprint[:])
		c.text = append(c.text, '"')
	}
	c.plain(`,"outcome":`, string(d.decision.Outcome))
	c.string(`,"reason":`, string(d.decision.Reason))
	c.string(`,"request":`, d.decision.Request)
	c.string(`,"environment":`, d.decision.Environment)
	c.plain(`,"priority":`, string(d.decision.Priority))
	c.plain(`,"path":`, string(d.decision.Path))
	c.close()
}

// start makes the first line of a process.
func (c *chain) start(at time.Time, o *Options, first uint64, t *torn) {
	c.open(at, KindStart)
	c.string(`,"instance":`, o.Instance)
	c.string(`,"version":`, o.Version)
	c.number(`,"oldest":`, int64(first))
	c.signed()
	if o.File == Stream {
		c.text = append(c.text, `,"stream":true`...)
	}
	if t != nil {
		c.number(`,"torn":{"bytes":`, t.Bytes)
		c.number(`,"lines":`, t.Lines)
		c.plain(`,"sha256":`, t.SHA256)
		c.string(`,"kept":`, t.Kept)
		c.text = append(c.text, '}')
	}
	c.close()
}

// signed says of this line and those after it that they have to be signed.
func (c *chain) signed() {
	if c.mac != nil {
		c.text = append(c.text, `,"signed":true`...)
	}
}

// next makes the first line of a further file, before which all lines from
// oldest on are kept.
func (c *chain) next(at time.Time, oldest uint64) {
	c.open(at, KindFile)
	c.number(`,"oldest":`, int64(oldest))
	c.signed()
	c.close()
}

// event makes a line of one of the kinds that say little.
func (c *chain) event(e *event) {
	c.open(e.at, e.kind)
	c.string(`,"revision":`, e.revision)
	c.string(`,"policy":`, e.policy)
	c.string(`,"what":`, e.what)
	if e.kind == KindGap {
		c.number(`,"lines":`, e.lines)
		c.plain(`,"why":`, e.why)
	}
	c.close()
}
