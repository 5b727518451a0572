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
	// maxStreams is how many requests one HTTP/2 connection has under way. Who
	// begins and takes back more is told to go, by net/http at four times as many.
	maxStreams = 100
	// streamBuffer and connectionBuffer are how much of bodies net/http takes in
	// that nobody has asked for yet, in bytes: its least, of one stream and of
	// all of a connection. A connection's memory is bounded by this.
	streamBuffer, connectionBuffer = 64 << 10, 1 << 20
	// pingAfter and pingTimeout end HTTP/2 connections whose other end has gone.
	pingAfter, pingTimeout = time.Minute, 15 * time.Second
	// stallTimeout ends HTTP/2 connections that take nothing of what is written.
	stallTimeout = 15 * time.Second
	// maxConnections bounds the connections of one listener. Each takes some 20 kB.
	maxConnections = 4096
)

// NewServer returns a server for a handler that works on a request for at most
// requestTimeout once it has been read. What net/http has to say goes to
// logger.
func NewServer(addr string, handler http.Handler, requestTimeout time.Duration, logger *slog.Logger) *http.Server {
	server := &http.Server{
		Addr:              addr,
		Handler:           framed(handler),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		// It runs from the end of the header, over reading and working.
		WriteTimeout:   readTimeout + requestTimeout + writeMargin,
		IdleTimeout:    idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
		ErrorLog:       slog.NewLogLogger(logger.With("component", "ingress").Handler(), slog.LevelWarn),
		// All that comes is answered by the handler, "OPTIONS *" too.
		DisableGeneralOptionsHandler: true,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerStream: streamBuffer, MaxReceiveBufferPerConnection: connectionBuffer,
			SendPingTimeout: pingAfter, PingTimeout: pingTimeout, WriteByteTimeout: stallTimeout,
		},
	}
	server.ConnState = newConnections(maxConnections).changed
	return server
}

// framed ends connections behind requests whose length two readers may see
// differently. Net/http lets chunks win over a Content-Length, which it then hides,
// and takes chunks of HTTP/1.0 for no body; a proxy before it that does the opposite
// would send on a second request that nobody has checked. RFC 9112 (6.1) asks for the
// connection's end; senders in use give a length, in HTTP/1.1 or HTTP/2, and notice
// nothing.
func framed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor < 2 && (len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1)) {
			w.Header()["Connection"] = []string{"close"}
		}
		next.ServeHTTP(w, r)
	})
}
