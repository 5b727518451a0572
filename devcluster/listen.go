package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// listen opens the API server's port. The address is kept in dataDir, so that
// kubeconfigs that were copied stay good; want, when set, takes its place.
// Listening here, not in the API server, leaves the choice of a free port to the
// kernel.
func listen(dataDir, want string) (net.Listener, error) {
	file := filepath.Join(dataDir, "address")
	kept := false
	if want == "" {
		raw, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read kept address: %w", err)
		}
		want, kept = strings.TrimSpace(string(raw)), err == nil
	}
	if want == "" {
		want = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", want)
	if kept && errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("address %s, kept in %s, is taken by another program; stop that program, or pass --address 127.0.0.1:0 to move to a free port", want, file)
	}
	if err != nil {
		return nil, fmt.Errorf("address %s: %w", want, err)
	}
	if err := keepAddress(file, l.Addr()); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func keepAddress(file string, addr net.Addr) error {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsLoopback() {
		// Whoever reaches this server with the token in its kubeconfig may do all.
		return fmt.Errorf("address %s is not of the loopback interface", addr)
	}
	if err := writeFile(file, []byte(tcp.String()+"\n")); err != nil {
		return fmt.Errorf("keep address: %w", err)
	}
	return nil
}
