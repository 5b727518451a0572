package ingress

import (
	"log/slog"
	"net/http"
	"time"
)

// Limits of a connection. A sender that is slower than this is broken, or not
// a sender.
const (
	// readHeaderTimeout is for a request's header.
	readHeaderTimeout = 5 * time.Second
	// readTimeout is for header and body: 8 MiB at some 300 kB a second.
	readTimeout = 30 * time.Second
	// writeMargin is what is left to write the answer to a slow reader.
	writeMargin = 15 * time.Second
	// idleTimeout lies beyond the 5 min after which Prometheus' HTTP client,
	// which is Alertmanager's, drops an idle connection: when it is always the
	// sender that hangs up, no webhook meets a connection that is just closing.
	idleTimeout = 6 * time.Minute
	// maxHeaderBytes leaves room for large tokens.
	maxHeaderBytes = 64 << 10
)

// NewServer returns a server for a handler that works on a request for at most
// requestTimeout once it has been read. What net/http has to say goes to
// logger.
func NewServer(addr string, handler http.Handler, requestTimeout time.Duration, logger *slog.Logger) *http.Server {
	return &http.Server{
		Addr:              addr,
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		// It runs from the end of the header, over reading and working.
		WriteTimeout:   readTimeout + requestTimeout + writeMargin,
		IdleTimeout:    idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
		ErrorLog:       slog.NewLogLogger(logger.With("component", "ingress").Handler(), slog.LevelWarn),
	}
}
