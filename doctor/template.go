package doctor

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"text/template/parse"
)

// maxPayload bounds the text of a payload with its templates.
const maxPayload = 1 << 20

// referred finds the templates that a text uses. It need not be a good template.
var referred = regexp.MustCompile(`(?:template|tmpl\.Exec|tmpl\.Inline)\s+"((?:[^"\\]|\\.){1,200})"`)

// templates reads the files of templates, and notes which can't be read.
func (d *diagnosis) templates() {
	d.defined = make(map[string]string)
	for _, file := range d.Templates {
		f := findings{file: file.Name}
		d.define(&f, file.Name, value{}, string(file.Data))
		d.take(&f)
		d.looked("%s: templates", file.Name)
	}
}

// define keeps the templates of a text. at is where the text is in its file, with
// the line before its first.
func (d *diagnosis) define(f *findings, name string, at value, text string) {
	if len(text) > MaxFileBytes {
		f.add("template-broken", at, fmt.Sprintf("larger than %d bytes, the most that is read", MaxFileBytes), "")
		return
	}
	// Which functions there are is the sender's affair.
	tree := parse.New(name)
	tree.Mode = parse.SkipFuncCheck
	set := make(map[string]*parse.Tree)
	if _, err := tree.Parse(text, "", "", set); err != nil {
		line, what := templateError(err, name)
		at.line += line
		f.add("template-broken", at, "the template can't be read: "+clip(what), "")
		return
	}
	for defined, one := range set {
		if one.Root != nil {
			d.defined[defined] = one.Root.String()
		}
	}
}

// templateError cuts an error of text/template into its line and what is wrong.
func templateError(err error, name string) (line int, what string) {
	what = strings.TrimPrefix(err.Error(), "template: "+name+":")
	number, rest, found := strings.Cut(what, ":")
	if n, notNumber := strconv.Atoi(number); found && notNumber == nil {
		return n, strings.TrimSpace(rest)
	}
	return 0, what
}

// errUnknown says that a payload uses a template that is not known.
var errUnknown = errors.New("it uses a template that was not given")

// payloadText returns a payload's text: keys, values, and the templates they use.
func (d *diagnosis) payloadText(v value) (string, error) {
	var b strings.Builder
	collect(v, &b)
	text := b.String()
	used := make(map[string]bool)
	for from := 0; from < len(text) && len(text) < maxPayload; {
		rest := text[from:]
		from = len(text)
		for _, use := range referred.FindAllStringSubmatch(rest, -1) {
			if used[use[1]] {
				continue
			}
			used[use[1]] = true
			body, ok := d.defined[use[1]]
			if !ok {
				return text, errUnknown
			}
			text += "\n" + body
		}
	}
	return text, nil
}

func collect(v value, b *strings.Builder) {
	for _, key := range v.keys() {
		fmt.Fprintf(b, "%q ", key)
		collect(v.get(key), b)
	}
	for _, item := range v.items() {
		collect(item, b)
	}
	b.WriteString(v.text() + " ")
}

// checkPayload says of a payload that someone made up whether it may do.
func (d *diagnosis) checkPayload(doc *document, w *webhook, name string) {
	if !w.payload.present() {
		return
	}
	mend := "# Leave payload out: the usual body is what the gateway reads.\n"
	text, err := d.payloadText(w.payload)
	switch {
	case err != nil:
		doc.add("payload-unchecked", w.payload, name+" sends a payload of its own; "+err.Error()+", see --templates", mend)
	case strings.Contains(text, `"alerts"`):
		doc.add("payload-unchecked", w.payload, name+" sends a payload of its own; it has alerts, whether in the usual form can't be told", mend)
	default:
		doc.add("custom-payload", w.payload, name+" sends a payload of its own, which has no alerts", mend)
	}
}
