package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"kubernaut.io/gateway/config"
)

// beforeSuffix ends the name under which Promotion keeps what was in force.
const beforeSuffix = ".before"

// Promotion is a shadow configuration that is to be put in force.
type Promotion struct {
	// Live is the file that is in force, and Shadow the one that it names as its
	// shadow.
	Live, Shadow string
	// Revision is ShadowRevision of Shadow.
	Revision string
	// Restart are the keys in which both differ that come into force with the next
	// restart only.
	Restart []string
	// Text is what Live is to hold.
	Text []byte
}

// errNoShadow means that a configuration names no shadow.
var errNoShadow = errors.New("shadow.config is not set, so nothing has been tried that could be put in force; " +
	"write the configuration to be tried into a file of its own and name it there")

// NewPromotion reads a configuration and its shadow, and checks both, the policy's
// tests included.
func NewPromotion(live string) (*Promotion, error) {
	inForce, err := config.Load(live)
	if err != nil {
		return nil, err
	}
	if inForce.Shadow.Config == "" {
		return nil, fmt.Errorf("%s: %w", live, errNoShadow)
	}
	p := &Promotion{Live: live, Shadow: inForce.Shadow.Config}
	next, revision, err := loadShadow(p.Shadow)
	if err != nil {
		return nil, err
	}
	p.Revision = revision
	if err := CheckPolicy(next); err != nil {
		return nil, fmt.Errorf("%s: %w", p.Shadow, err)
	}
	p.Restart = inForce.RestartNeeded(next)
	p.Text, err = os.ReadFile(p.Shadow)
	return p, err
}

// Apply puts the shadow's text into the live file, which a running gateway takes
// up by itself, and returns where it keeps what that held before.
func (p *Promotion) Apply() (before string, err error) {
	info, err := os.Stat(p.Live)
	if err != nil {
		return "", err
	}
	was, err := os.ReadFile(p.Live)
	if err != nil {
		return "", err
	}
	before = p.Live + beforeSuffix
	if err := replaceFile(before, was, info.Mode().Perm()); err != nil {
		return "", p.unwritable(err)
	}
	if err := replaceFile(p.Live, p.Text, info.Mode().Perm()); err != nil {
		return "", p.unwritable(err)
	}
	return before, nil
}

func (p *Promotion) unwritable(err error) error {
	return fmt.Errorf("%s can't be replaced here; where it is a ConfigMap's, take what --print prints into that: %w", p.Live, err)
}

// replaceFile writes a file so that it holds the one text or the other at any time.
func replaceFile(name string, text []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the first error is told
		}
	}()
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
