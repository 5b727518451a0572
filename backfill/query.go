package backfill

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// answer is what of a query's answer is not its result. The result is read
// element by element, for it can be large.
type answer struct {
	status, errorType, message, resultType string
}

// readQueries reads the answers of Prometheus' API.
func (rd *reader) readQueries() error {
	dec := json.NewDecoder(rd.capped(rd.in))
	h := newHistory(rd.summary)
	for document := 1; ; document++ {
		if !dec.More() {
			if _, err := dec.Token(); !errors.Is(err, io.EOF) {
				return located(dec, err)
			}
			return rd.tell(h)
		}
		var a answer
		if err := a.read(dec, h, document); err != nil {
			return fmt.Errorf("answer %d: %w", document, located(dec, err))
		}
	}
}

// read reads one answer.
func (a *answer) read(dec *json.Decoder, h *history, document int) error {
	err := members(dec, "answer", func(name string) error {
		switch name {
		case "status":
			return a.text(dec, name, &a.status)
		case "errorType":
			return a.text(dec, name, &a.errorType)
		case "error":
			return a.text(dec, name, &a.message)
		case "data":
			return a.data(dec, h, document)
		default:
			return skip(dec)
		}
	})
	switch {
	case err != nil:
		return err
	case a.status == "error":
		return fmt.Errorf("the query failed: %.60s: %.200s; want an answer of status success", a.errorType, a.message)
	case a.resultType == "":
		return errors.New("data.resultType: missing; want matrix (query_range) or vector (query)")
	default:
		return nil
	}
}

func (a *answer) data(dec *json.Decoder, h *history, document int) error {
	return members(dec, "data", func(name string) error {
		switch name {
		case "resultType":
			if err := a.text(dec, "data.resultType", &a.resultType); err != nil {
				return err
			}
			if a.resultType != "matrix" && a.resultType != "vector" {
				return fmt.Errorf("data.resultType: %.60q; want matrix (query_range) or vector (query)", a.resultType)
			}
			return nil
		case "result":
			return result(dec, h, document)
		default:
			return skip(dec)
		}
	})
}

// result reads a list of series; null is an empty one.
func result(dec *json.Decoder, h *history, document int) error {
	t, err := dec.Token()
	switch {
	case err != nil:
		return err
	case t == nil:
		return nil
	case t != json.Delim('['):
		return errors.New("data.result: no list; want a list of series")
	}
	for number := 1; dec.More(); number++ {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		if err := h.add(document, raw); err != nil {
			return fmt.Errorf("data.result %d: %w", number, err)
		}
	}
	_, err = dec.Token()
	return err
}

// members calls do for each name of the object that is next, to read its value.
func members(dec *json.Decoder, what string, do func(name string) error) error {
	t, err := dec.Token()
	if err != nil {
		return err
	}
	if t != json.Delim('{') {
		return fmt.Errorf("%s: no object; want an answer of Prometheus' query_range or query", what)
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		if err := do(name.(string)); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}

// text reads a string.
func (*answer) text(dec *json.Decoder, field string, into *string) error {
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		return err
	}
	var ok bool
	if *into, ok = text(raw); !ok {
		return fmt.Errorf("%s: %.60s; want a string", field, raw)
	}
	return nil
}

func skip(dec *json.Decoder) error {
	var raw json.RawMessage
	return dec.Decode(&raw)
}
