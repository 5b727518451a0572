package ingress

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	gateway "kubernaut.io/gateway"
)

// answerBytes is what an answer takes for each signal, a little more than a
// duplicate's, so that the buffer rarely grows.
const answerBytes = 384

// namedProblems is how many invalid signals a refusal names; who sends more
// sees the pattern.
const namedProblems = 3

// sums counts a batch's decisions.
type sums struct {
	received  int
	byOutcome [len(gateway.Outcomes)]int
	// invalid counts those rejected for what was sent, not by the API.
	invalid int
	opened  bool
}

func sum(decisions []gateway.Decision) sums {
	s := sums{received: len(decisions)}
	for i := range decisions {
		d := &decisions[i]
		if at := slices.Index(gateway.Outcomes[:], d.Outcome); at >= 0 {
			s.byOutcome[at]++
		}
		if d.Outcome == gateway.Rejected && d.Reason == gateway.ReasonInvalid {
			s.invalid++
		}
		s.opened = s.opened || d.Opened
	}
	return s
}

func (s *sums) of(o gateway.Outcome) int {
	return s.byOutcome[slices.Index(gateway.Outcomes[:], o)]
}

// conclude returns the status of a batch, and a refusal where it is none of
// 2xx. One signal that was not accepted refuses the whole, since senders know
// no answer by signal; those accepted are duplicates when they come again.
func conclude(decisions []gateway.Decision) (int, *refusal) {
	s := sum(decisions)
	switch failed := s.of(gateway.Failed); {
	case failed > 0:
		return 0, &refusal{
			status: http.StatusServiceUnavailable, retryAfter: retryOutage, decisions: decisions,
			detail: fmt.Sprintf("%d of %d signals could not be accepted (%s); a retry creates only what is missing",
				failed, s.received, firstFailed(decisions)),
		}
	case s.invalid == s.received:
		return 0, &refusal{status: http.StatusBadRequest, detail: invalid(decisions)}
	case s.opened:
		return http.StatusCreated, nil
	default:
		return http.StatusAccepted, nil
	}
}

func firstFailed(decisions []gateway.Decision) gateway.Reason {
	i := slices.IndexFunc(decisions, func(d gateway.Decision) bool { return d.Outcome == gateway.Failed })
	return decisions[i].Reason
}

// invalid says what is wrong with the first few of a batch without a valid
// signal.
func invalid(decisions []gateway.Decision) string {
	var b strings.Builder
	b.WriteString("no signal in the batch is valid")
	for i := range min(len(decisions), namedProblems) {
		fmt.Fprintf(&b, "; signal %d: %.200s", i, strings.ToValidUTF8(decisions[i].Detail, "\uFFFD"))
	}
	if more := len(decisions) - namedProblems; more > 0 {
		fmt.Fprintf(&b, "; and %d more", more)
	}
	return b.String()
}

func (h *Handler) appendAnswer(b []byte, id string, decisions []gateway.Decision) []byte {
	b = append(b, `{"requestId":`...)
	b = appendString(b, id)
	b = append(b, ',')
	b = h.appendSignals(b, decisions)
	return append(b, "}\n"...)
}

// appendSignals appends the members signals and summary, which an answer and a
// problem document have in common. It is written by hand as it is on the path
// of every duplicate.
func (h *Handler) appendSignals(b []byte, decisions []gateway.Decision) []byte {
	b = append(b, `"signals":[`...)
	for i := range decisions {
		if i > 0 {
			b = append(b, ',')
		}
		b = h.appendSignal(b, i, &decisions[i])
	}
	s := sum(decisions)
	b = append(b, `],"summary":{"received":`...)
	b = strconv.AppendInt(b, int64(s.received), 10)
	for i, o := range gateway.Outcomes {
		b = append(b, ',', '"')
		b = append(b, o...)
		b = append(b, '"', ':')
		b = strconv.AppendInt(b, int64(s.byOutcome[i]), 10)
	}
	return append(b, '}')
}

func (h *Handler) appendSignal(b []byte, index int, d *gateway.Decision) []byte {
	b = append(b, `{"index":`...)
	b = strconv.AppendInt(b, int64(index), 10)
	if !d.Fingerprint.IsZero() {
		b = append(b, `,"fingerprint":"`...)
		b = hex.AppendEncode(b, d.Fingerprint[:])
		b = append(b, '"')
	}
	b = appendMember(b, `,"outcome":`, string(d.Outcome))
	b = appendReason(b, d)
	if d.Request != "" {
		b = append(b, h.requestPrefix...)
		b = appendString(b, d.Request)
		b = append(b, '}')
	}
	if d.Occurrences != 0 {
		b = append(b, `,"occurrences":`...)
		b = strconv.AppendInt(b, d.Occurrences, 10)
	}
	b = appendMember(b, `,"environment":`, d.Environment)
	b = appendMember(b, `,"priority":`, string(d.Priority))
	b = appendMember(b, `,"path":`, string(d.Path))
	return append(b, '}')
}

func appendReason(b []byte, d *gateway.Decision) []byte {
	// What kept a spooled signal from its place is not the sender's to mend.
	if d.Detail == "" || d.Outcome == gateway.Spooled {
		return appendMember(b, `,"reason":`, string(d.Reason))
	}
	return appendMember(b, `,"reason":`, string(d.Reason)+": "+clip(d.Detail))
}

// appendMember appends a member behind its quoted name, unless it has no value.
func appendMember(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, name...)
	return appendString(b, value)
}

// appendString appends s as JSON. The error of AppendQuote speaks of invalid
// UTF-8, for which U+FFFD then stands already.
func appendString(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s)
	return b
}
