package page

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed static
var static embed.FS

// assets are the files that pages refer to, each under a name that has its hash
// in it: a browser may keep it for ever, and never has one of another build.
type assets struct {
	// names are what they are served as, by their names here.
	names map[string]string
	// files are they, by the names that they are served as.
	files map[string]asset
	// all is the hash of all of them.
	all string
}

type asset struct {
	contentType string
	content     []byte
}

var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

func loadAssets() (*assets, error) {
	a := &assets{names: make(map[string]string), files: make(map[string]asset)}
	entries, err := static.ReadDir("static")
	if err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	all := sha256.New()
	for _, entry := range entries {
		content, err := fs.ReadFile(static, "static/"+entry.Name())
		if err != nil {
			return nil, fmt.Errorf("page: %w", err)
		}
		sum := sha256.Sum256(content)
		all.Write(sum[:])
		extension := path.Ext(entry.Name())
		name := strings.TrimSuffix(entry.Name(), extension) + "-" + hex.EncodeToString(sum[:8]) + extension
		a.names[entry.Name()] = name
		a.files[name] = asset{contentTypes[extension], content}
	}
	a.all = hex.EncodeToString(all.Sum(nil))
	return a, nil
}

// path returns where a file is served.
func (a *assets) path(name string) (string, error) {
	served, ok := a.names[name]
	if !ok {
		return "", fmt.Errorf("page: there is no file %q", name)
	}
	return "/static/" + served, nil
}

func (a *assets) serve(w http.ResponseWriter, r *http.Request) {
	file, ok := a.files[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", file.contentType)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	// An error means that nobody is there any more to be told.
	_, _ = w.Write(file.content)
}

// bootOf tells a process with its files from others.
func bootOf(instance string, a *assets) string {
	sum := sha256.Sum256([]byte(instance + "\x00" + a.all))
	return hex.EncodeToString(sum[:8])
}
