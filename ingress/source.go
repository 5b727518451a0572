package ingress

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/ingress/fair"
)

// pathPrefix is before the name of each source in its path.
const pathPrefix = "/webhook/"

// Source is a configured sender, served at /webhook/ and its name.
type Source struct {
	// Name is an RFC 1123 label.
	Name string
	// Decode is the adapter of the source's format. An error means that body
	// as a whole is none of that format, and is told to the sender; one that is
	// context.DeadlineExceeded that it took too long, and may be sent again. What
	// it returns may alias body, which lasts until the batch has been processed.
	Decode func(body []byte) (gateway.Batch, error)
	// Wrapping is set for a format of which a part may be in a request's headers.
	Wrapping *Wrapping
	// Authenticate checks who is sending.
	Authenticate Authenticator
	// Aliases are further paths, in full.
	Aliases []string
	// RetriesOn429 says that the source's senders are told 429 when they send too
	// much. The others, of a format whose senders retry 5xx alone, are told 503.
	RetriesOn429 bool
	// Rate limits what the source sends, and PerClient what each of its clients
	// does: an IPv4 address, or a /64 of IPv6.
	Rate
	PerClient Rate
}

// Wrapping makes a body in JSON of a request whose headers say a part of what there is
// to say. From then on the headers are not needed: that body is decoded, recorded and
// explained.
type Wrapping struct {
	// Is reports whether a request is such a one, by its headers. Its body may be of
	// any content type.
	Is func(header http.Header) bool
	// Wrap returns the body in JSON, a new one. An error is told to the sender.
	Wrap func(header http.Header, body []byte) ([]byte, error)
}

// body returns what is to be decoded of a request.
func (s *Source) body(header http.Header, sent []byte) ([]byte, error) {
	if !s.wraps(header) {
		return sent, nil
	}
	return s.Wrapping.Wrap(header, sent)
}

func (s *Source) wraps(header http.Header) bool {
	return s.Wrapping != nil && s.Wrapping.Is(header)
}

func (s *Source) validate() error {
	switch {
	case !gateway.IsDNSLabel(s.Name):
		return fmt.Errorf("ingress: source name %q is not an RFC 1123 label", s.Name)
	case s.Decode == nil:
		return fmt.Errorf("ingress: source %s: no decoder", s.Name)
	case s.Wrapping != nil && (s.Wrapping.Is == nil || s.Wrapping.Wrap == nil):
		return fmt.Errorf("ingress: source %s: a wrapping lacks one of its functions", s.Name)
	case s.Authenticate == nil:
		return fmt.Errorf("ingress: source %s: no authenticator", s.Name)
	}
	for _, limit := range []Rate{s.Rate, s.PerClient} {
		if err := limit.validate(); err != nil {
			return fmt.Errorf("ingress: source %s: %w", s.Name, err)
		}
	}
	return nil
}

// route is a source with what it needs to be served.
type route struct {
	Source
	// bucket and clients are nil where there is no limit.
	bucket  *bucket
	clients *clients
	// signals and bytes are what it has in flight.
	signals, bytes *fair.Account
	complaints     *complaints
}

// routesOf returns the routes by path, which share the bounds. Paths are looked up whole: what a
// ServeMux would redirect or answer by itself gets a problem document too.
func routesOf(sources []Source, signals, bytes *fair.Pool) (map[string]*route, error) {
	routes := make(map[string]*route)
	var problems []error
	for _, s := range sources {
		perClient, err := newClients(s.PerClient, maxClients)
		if err != nil {
			return nil, err
		}
		r := &route{
			Source: s, bucket: s.bucket(), clients: perClient, complaints: newComplaints(),
			signals: signals.Account(), bytes: bytes.Account(),
		}
		for _, path := range append([]string{pathPrefix + s.Name}, s.Aliases...) {
			switch taken, ok := routes[path]; {
			case ok:
				problems = append(problems, fmt.Errorf("ingress: sources %s and %s share the path %s", taken.Name, s.Name, path))
			case !strings.HasPrefix(path, "/"):
				problems = append(problems, fmt.Errorf("ingress: source %s: the alias %q is no path", s.Name, path))
			default:
				routes[path] = r
			}
		}
	}
	return routes, errors.Join(problems...)
}
