// Package filewatch tells when files change that people edit while the gateway
// runs, be it in place, by renaming, or by the symbolic links that a ConfigMap's
// volume swaps.
package filewatch

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is for how long nothing has to change before it is told: files are
	// written one after the other.
	settle = 50 * time.Millisecond
	// longest is the longest that is waited for that.
	longest = time.Second
	// defaultEvery is the default of Options.Every.
	defaultEvery = 10 * time.Second
)

// Options is what a Watcher is made of. All fields but Every are required.
type Options struct {
	// Paths are files and folders. One that is not there yet is watched for.
	Paths []string
	// Changed is called when something may have changed, one call at a time.
	Changed func()
	// Every is how often a change is supposed without a sign of one: not every
	// file system tells. 10 s where it is 0.
	Every  time.Duration
	Logger *slog.Logger
}

// Watcher tells of changes while it runs.
type Watcher struct {
	options Options
	// notify is nil where the system has no watch left to give.
	notify *fsnotify.Watcher
}

// New returns a watcher, which watches from now on.
func New(o Options) (*Watcher, error) {
	if o.Changed == nil || o.Logger == nil {
		return nil, errors.New("filewatch: nobody to tell")
	}
	if o.Every <= 0 {
		o.Every = defaultEvery
	}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		o.Logger.Warn("changes of files are noticed late", "component", "filewatch", "after", o.Every.String(), "error", err)
		notify = nil
	}
	w := &Watcher{options: o, notify: notify}
	w.cover()
	return w, nil
}

// volumePrefix begins the names that a ConfigMap's volume keeps its versions
// under, and the link to the one in force.
const volumePrefix = ".."

// hidden reports whether a name is one that nobody edits. What a volume swaps is
// not hidden.
func hidden(name string) bool {
	return strings.HasPrefix(name, ".") && !strings.HasPrefix(name, volumePrefix)
}

// concerns reports whether a change of name may be one of a path: of itself, of
// what lies in it, or of the link that leads to it. What else lies beside a path,
// such as a log, is none of them.
func (w *Watcher) concerns(name string) bool {
	name = filepath.Clean(name)
	for _, path := range w.options.Paths {
		path = filepath.Clean(path)
		parent := filepath.Dir(path)
		switch {
		case name == path, name == parent:
			return true
		case filepath.Dir(name) == parent && strings.HasPrefix(filepath.Base(name), volumePrefix):
			return true
		}
		inside, below := strings.CutPrefix(name, strings.TrimSuffix(path, string(filepath.Separator))+string(filepath.Separator))
		if below && !slices.ContainsFunc(strings.Split(inside, string(filepath.Separator)), hidden) {
			return true
		}
	}
	return false
}

// cover watches the folders of all paths, and all folders in them but hidden
// ones. Folders, and not files, for a file that is replaced by another is watched
// no more.
func (w *Watcher) cover() {
	if w.notify == nil {
		return
	}
	for _, path := range w.options.Paths {
		w.add(filepath.Dir(path))
		if info, err := os.Stat(path); err != nil || !info.IsDir() {
			continue
		}
		err := filepath.WalkDir(path, func(at string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && at != path && hidden(d.Name()) {
				return filepath.SkipDir
			}
			if err == nil && (d.IsDir() || at == path) {
				w.add(at)
			}
			return nil // one that can't be read is looked for again
		})
		if err != nil {
			w.options.Logger.Debug("a folder can't be looked through", "component", "filewatch", "folder", path, "error", err)
		}
	}
}

func (w *Watcher) add(dir string) {
	if err := w.notify.Add(dir); err != nil {
		w.options.Logger.Debug("a folder can't be watched; it is looked at now and then", "component", "filewatch", "folder", dir, "error", err)
	}
}

// Run tells of changes until ctx ends. It returns nil.
func (w *Watcher) Run(ctx context.Context) error {
	var events <-chan fsnotify.Event
	var failures <-chan error
	if w.notify != nil {
		defer func() { _ = w.notify.Close() }()
		events, failures = w.notify.Events, w.notify.Errors
	}
	timer := time.NewTimer(w.options.Every)
	defer timer.Stop()
	var since time.Time // of the first change that was not told yet
	for {
		select {
		case event, open := <-events:
			if !open {
				return nil
			}
			if !w.concerns(event.Name) {
				continue
			}
			if since.IsZero() {
				since = time.Now()
			}
			timer.Reset(max(0, min(settle, longest-time.Since(since))))
		case err := <-failures:
			w.options.Logger.Warn("changes of files may be noticed late", "component", "filewatch", "error", err)
		case <-timer.C:
			since = time.Time{}
			w.cover()
			w.options.Changed()
			timer.Reset(w.options.Every)
		case <-ctx.Done():
			return nil
		}
	}
}
