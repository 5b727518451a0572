package redact

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"

	"kubernaut.io/gateway/terminal"
)

// Attr takes secrets out of what is logged, and what could drive the terminal that
// shows it. It is slog.HandlerOptions' ReplaceAttr: what is in a group whose name
// says that it is a secret is one, too.
func Attr(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
		return a
	}
	if Name(a.Key) || slices.ContainsFunc(groups, Name) {
		return slog.String(a.Key, Mark)
	}
	switch a.Value.Kind() {
	case slog.KindString:
		return slog.String(a.Key, shown(a.Value.String()))
	case slog.KindAny:
		return slog.Attr{Key: a.Key, Value: anything(a.Value)}
	default:
		return a
	}
}

// shown is a text as it may be in a log. Line breaks are the handler's to escape.
func shown(text string) string { return terminal.Lines(Text(text)) }

// anything returns a value of any kind without its secrets.
func anything(v slog.Value) slog.Value {
	switch one := v.Any().(type) {
	case nil:
		return v
	case error:
		return slog.StringValue(shown(one.Error()))
	case []byte:
		if json.Valid(one) {
			without, _ := JSON(nil, one)
			return slog.StringValue(shown(string(without)))
		}
		return slog.StringValue(shown(string(one)))
	case fmt.Stringer:
		return slog.StringValue(shown(one.String()))
	default:
		text, err := json.Marshal(one)
		if err != nil {
			return slog.StringValue(shown(fmt.Sprint(one)))
		}
		if without, had := JSON(nil, text); had {
			return slog.AnyValue(json.RawMessage(without))
		}
		return v
	}
}
