package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"
)

// parentPollInterval bounds how long this process outlives its parent.
const parentPollInterval = 250 * time.Millisecond

// parentFlag is the value of --exit-with-parent[=PID].
type parentFlag struct {
	set bool
	pid int
}

// IsBoolFlag lets the flag stand without a value.
func (*parentFlag) IsBoolFlag() bool { return true }

// String returns the flag's value as it would be typed.
func (p *parentFlag) String() string {
	if p == nil || !p.set {
		return "false"
	}
	return strconv.Itoa(p.pid)
}

// Set takes true, false or the parent's process id.
func (p *parentFlag) Set(s string) error {
	switch s {
	case "true":
		*p = parentFlag{set: true, pid: os.Getppid()}
		return nil
	case "false":
		*p = parentFlag{}
		return nil
	}
	pid, err := strconv.Atoi(s)
	if err != nil || pid <= 0 {
		return fmt.Errorf("neither true, false nor a process id: %q", s)
	}
	*p = parentFlag{set: true, pid: pid}
	return nil
}

// watch returns a context that ends when the parent is gone. An orphan is handed
// to another process, so its parent's id changes; this holds on every Unix, where
// the parent-death signal is Linux's alone and tied to the thread that forked.
func (p *parentFlag) watch(ctx context.Context) context.Context {
	if !p.set {
		return ctx
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		tick := time.NewTicker(parentPollInterval)
		defer tick.Stop()
		for os.Getppid() == p.pid {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return ctx
}
