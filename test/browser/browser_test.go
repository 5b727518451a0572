package browser

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const page = `<!DOCTYPE html><html><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'self'%s"><title>a page</title></head><body>%s</body></html>`

// TestLook shows that what is wrong with a page is seen.
func TestLook(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		allow, body string
		wrong       func(Sight) bool // nil for nothing
	}{
		"nothing is wrong": {"", "<p>words & words</p>", nil},
		"a style attribute": {"", `<p style="color: red">words</p>`, func(s Sight) bool {
			return slices.ContainsFunc(s.Console, func(l string) bool { return strings.Contains(l, "Content Security Policy") })
		}},
		"a script": {" 'unsafe-inline'", `<script>console.log("here")</script>`, func(s Sight) bool {
			return s.Frames[0].Scripts == 1 && strings.Contains(strings.Join(s.Console, ""), "here")
		}},
		"an attribute": {"", `<p onclick="x()">words</p>`, func(s Sight) bool { return s.Frames[0].Scripts == 1 }},
		"too wide": {" 'unsafe-inline'", `<p style="width: 500px">words</p>`, func(s Sight) bool {
			return s.Frames[0].Needed > 390 && s.Frames[1].Needed <= 1440
		}},
		"faint": {" 'unsafe-inline'", `<p style="color: #999; background: #fff">pale</p>`, func(s Sight) bool {
			return slices.Equal(s.Frames[0].Faint, []string{"pale"})
		}},
		"squeezed": {" 'unsafe-inline'", `<p style="width: 1em; overflow-wrap: anywhere">one letter a line</p>`, func(s Sight) bool {
			return slices.Equal(s.Frames[0].Squeezed, []string{"one letter a line"})
		}},
		"loads something": {"", `<img src="/picture.png" alt="">`, func(s Sight) bool { return slices.Contains(s.Loaded, "/picture.png") }},
	} {
		t.Run(name, func(t *testing.T) {
			s := Look(t, fmt.Appendf(nil, page, test.allow, test.body), false, 390, 1440)
			if test.wrong != nil {
				if !test.wrong(s) {
					t.Errorf("not seen: %+v", s)
				}
				return
			}
			for _, f := range s.Frames {
				if f.Needed > f.Width || f.Scripts > 0 || len(f.Faint)+len(f.Squeezed) > 0 || f.Text != "words & words" {
					t.Errorf("got %+v", f)
				}
			}
			if len(s.Console) > 0 || len(s.Loaded) > 0 {
				t.Errorf("got %+v", s)
			}
		})
	}
}
