package mapping

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// scalar returns a text, a number or a truth value as a text.
func scalar(value ref.Val) (string, bool) {
	switch v := value.(type) {
	case types.String:
		return string(v), true
	case types.Int:
		return strconv.FormatInt(int64(v), 10), true
	case types.Uint:
		return strconv.FormatUint(uint64(v), 10), true
	case types.Double:
		return strconv.FormatFloat(float64(v), 'f', -1, 64), true
	case types.Bool:
		return strconv.FormatBool(bool(v)), true
	default:
		return "", false
	}
}

// instant returns a time, or what is wrong with it. An empty text is none.
func instant(value ref.Val) (time.Time, string) {
	switch v := value.(type) {
	case types.Timestamp:
		return v.Time, ""
	case types.Int:
		return unix(int64(v)), ""
	case types.Uint:
		return unix(int64(min(uint64(v), math.MaxInt64))), ""
	case types.Double:
		return unixFraction(float64(v))
	case types.String:
		if v == "" {
			return time.Time{}, ""
		}
		at, err := time.Parse(time.RFC3339, string(v))
		if err != nil {
			return at, "gives a text that is no time; want RFC 3339, such as 2006-01-02T15:04:05Z"
		}
		return at, ""
	default:
		return time.Time{}, "gives " + valueName(value) + "; want " + wantTime.words
	}
}

// maxSeconds is the year 5138 as a Unix time. Larger numbers count smaller units, of
// which each has three digits more.
const maxSeconds = 100_000_000_000

// unix returns the time of a count of seconds, milli-, micro- or nanoseconds since
// 1970; 0 is none.
func unix(n int64) time.Time {
	switch size := max(n, -n); {
	case n == 0:
		return time.Time{}
	case size < maxSeconds:
		return time.Unix(n, 0)
	case size < maxSeconds*1_000:
		return time.UnixMilli(n)
	case size < maxSeconds*1_000_000:
		return time.UnixMicro(n)
	default:
		return time.Unix(0, n)
	}
}

// unixFraction is unix of a number that need not be whole.
func unixFraction(f float64) (time.Time, string) {
	switch {
	case math.IsNaN(f) || math.Abs(f) >= math.MaxInt64:
		return time.Time{}, "gives a number that is no time; want seconds since 1970"
	case f == math.Trunc(f) || math.Abs(f) >= maxSeconds:
		return unix(int64(f)), ""
	default:
		whole, part := math.Modf(f)
		return time.Unix(int64(whole), int64(part*1e9)), ""
	}
}

// maxPayload is as much as is kept of the JSON of what a signal was made of, and
// more than a request has room for.
const maxPayload = 16 << 10

var errFull = errors.New("there is no room for more")

// head keeps the beginning of what is written.
type head []byte

// Write implements io.Writer. It fails where there is more than fits.
func (h *head) Write(p []byte) (int, error) {
	n := min(len(p), maxPayload-len(*h))
	*h = append(*h, p[:n]...)
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

// payload returns the JSON of a value, or its beginning. It counts the values down of
// which payloads may be made; where none is left it is empty.
func payload(value ref.Val, room *int) []byte {
	left := min(maxPayload, *room)
	if left <= 0 {
		return nil
	}
	*room -= left
	var text head
	// An error means that there is more of it than fits.
	_ = json.MarshalWrite(&text, native(value, &left), json.Deterministic(true))
	*room += max(0, left)
	return text
}

// native returns a value as Go has it, less what is beyond left values. What JSON does
// not have is left out.
func native(value ref.Val, left *int) any {
	if *left--; *left < 0 {
		return nil
	}
	switch v := value.(type) {
	case traits.Mapper:
		m := make(map[string]any)
		for it := v.Iterator(); it.HasNext() == types.True && *left > 0; {
			name := it.Next()
			if key, ok := scalar(name); ok {
				m[key] = native(settled(v.Get(name)), left)
			}
		}
		return m
	case traits.Lister:
		list := []any{}
		for it := v.Iterator(); it.HasNext() == types.True && *left > 0; {
			list = append(list, native(settled(it.Next()), left))
		}
		return list
	default:
		return single(value)
	}
}

// single is native of what has no parts. A text's beginning is more than fits.
func single(value ref.Val) any {
	switch v := value.(type) {
	case types.String:
		return strings.ToValidUTF8(string(v[:min(len(v), maxPayload)]), "")
	case types.Bytes:
		return []byte(v[:min(len(v), maxPayload)])
	case types.Bool, types.Int, types.Uint:
		return v.Value()
	case types.Double:
		if f := float64(v); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
	case types.Timestamp:
		return v.Format(time.RFC3339Nano)
	}
	return nil
}
