package config

import (
	"bytes"
	"fmt"
	"net"
	"net/textproto"
	"net/url"
	"os"
	"reflect"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Auth is one kind of credentials; exactly one field is set.
type Auth struct {
	// None lets everyone in who reaches the port: `{}`.
	None       *struct{}        `yaml:"none,omitempty"`
	Bearer     *Bearer          `yaml:"bearer,omitempty"`
	Basic      *Basic           `yaml:"basic,omitempty"`
	HMAC       *HMAC            `yaml:"hmac,omitempty"`
	MTLS       *MTLS            `yaml:"mtls,omitempty"`
	Kubernetes *KubernetesToken `yaml:"kubernetes,omitempty"`
}

// Bearer is a token of a file.
type Bearer struct {
	// TokenFile is a file with tokens, one a line, at most 16, each of 16
	// characters or more; lines that begin with `#` are comments.
	TokenFile string `yaml:"tokenFile"`
}

// Basic is a user and password by an htpasswd file.
type Basic struct {
	// UsersFile is an htpasswd file, bcrypt alone, with a cost of at most 14.
	UsersFile string `yaml:"usersFile"`
}

// HMAC is a signature of the body.
type HMAC struct {
	// SecretFile is a file with secrets, one a line, at most 16, each of 16 bytes
	// or more.
	SecretFile string `yaml:"secretFile"`
	// Header is the header with the HMAC-SHA256 of the body, in hex, with or
	// without `sha256=` before it.
	Header string `yaml:"header"`
	// TimestampHeader is the header with when it was signed, in Unix seconds, where
	// `TIMESTAMP:BODY` is signed; empty where it is the body alone.
	TimestampHeader string `yaml:"timestampHeader"`
	// Tolerance is how far that time may be from the gateway's, before or after.
	Tolerance time.Duration `yaml:"tolerance"`
}

// DefaultHMAC returns what a file means that says hmac: {}. It is not fit to
// serve as it stands, without a file of secrets.
func DefaultHMAC() HMAC { return HMAC{Header: "X-Webhook-Signature", Tolerance: 5 * time.Minute} }

func (h *HMAC) setDefaults() { *h = DefaultHMAC() }

// MTLS is a certificate of the client's.
type MTLS struct {
	// AllowedSANs are names of which a certificate has to have one: hosts
	// (`*.example.org` for any one label), IP addresses, email addresses, URIs.
	// Empty: any certificate of `webhooks.tls.clientCAFile`.
	AllowedSANs []string `yaml:"allowedSANs"`
}

// KubernetesToken is a token of the cluster.
type KubernetesToken struct {
	// Audiences are what a token of the cluster has to be made for, one of them;
	// empty for the API server's own. Its bearer needs the right to `post` on
	// `/webhook/NAME`.
	Audiences []string `yaml:"audiences"`
}

// authKinds are the keys of an Auth.
var authKinds = func() []string {
	t := reflect.TypeFor[Auth]()
	kinds := make([]string, t.NumField())
	for i := range kinds {
		kinds[i], _, _ = strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
	}
	return kinds
}()

// kinds returns which kinds are set.
func (a *Auth) kinds() []string {
	var set []string
	for i, kind := range authKinds {
		if !reflect.ValueOf(a).Elem().Field(i).IsNil() {
			set = append(set, kind)
		}
	}
	return set
}

// authPlace is where credentials are asked for.
type authPlace struct {
	// path is the key of the list.
	path string
	// tls is the key of the listener's TLS, and what is there.
	tls     string
	encrypt *TLS
	// signed says that what comes has a body to be signed.
	signed bool
}

func (k *checker) auth(list []Auth, in authPlace) {
	open := false
	for i := range list {
		a, at := &list[i], fmt.Sprintf("%s[%d]", in.path, i)
		switch set := a.kinds(); len(set) {
		case 0:
			k.problem(at, "no kind of credentials is named; write one of %s, such as {bearer: {tokenFile: FILE}}, or {none: {}} to let everyone in", strings.Join(authKinds, ", "))
		case 1:
			open = open || a.None != nil
			a.check(k, at+"."+set[0], in)
		default:
			k.problem(at, "%s are of two kinds; write each in an entry of its own, any one of them suffices", strings.Join(set, " and "))
		}
	}
	for i := range list {
		if a := &list[i]; open && a.None == nil && len(a.kinds()) > 0 {
			k.problem(fmt.Sprintf("%s[%d]", in.path, i), "it has no effect beside none, which lets everyone in; leave out one of them")
		}
	}
}

func (a *Auth) check(k *checker, at string, in authPlace) {
	switch {
	case a.Bearer != nil:
		k.secret(at+".tokenFile", a.Bearer.TokenFile, "a file with tokens, one a line; make one with: openssl rand -hex 32")
	case a.Basic != nil:
		k.secret(at+".usersFile", a.Basic.UsersFile, "a file of users; make one with: htpasswd -cB FILE USER")
	case a.HMAC != nil:
		a.HMAC.check(k, at, in.signed)
	case a.MTLS != nil:
		if in.encrypt.ClientCAFile == "" {
			k.problem(at, "certificates of clients need an authority; write %s.clientCAFile", in.tls)
		}
		for i, name := range a.MTLS.AllowedSANs {
			if !isSAN(name) {
				k.problem(fmt.Sprintf("%s.allowedSANs[%d]", at, i), "%q is no name of a certificate; write a host (*.example.org for any one label), "+
					"an IP address, an email address, or a URI such as spiffe://example.org/ns/monitoring/sa/alertmanager", name)
			}
		}
	case a.Kubernetes != nil:
		for i, audience := range a.Kubernetes.Audiences {
			if strings.TrimSpace(audience) == "" {
				k.problem(fmt.Sprintf("%s.audiences[%d]", at, i), "this is empty; write what tokens are made for, such as gateway")
			}
		}
	}
}

func (h *HMAC) check(k *checker, at string, signed bool) {
	if !signed {
		k.problem(at, "requests to this port have no body that could be signed; use bearer, basic, mtls or kubernetes")
		return
	}
	k.secret(at+".secretFile", h.SecretFile, "a file with secrets, one a line; make one with: openssl rand -hex 32")
	if !isHeader(h.Header) {
		k.problem(at+".header", "%q is not the name of a header; write one such as X-Webhook-Signature", h.Header)
	}
	if h.TimestampHeader != "" && !isHeader(h.TimestampHeader) {
		k.problem(at+".timestampHeader", "%q is not the name of a header; write one such as X-Webhook-Timestamp", h.TimestampHeader)
	}
	if strings.EqualFold(h.Header, h.TimestampHeader) {
		k.problem(at+".timestampHeader", "%q is that of the signature already", h.TimestampHeader)
	}
	k.positive(at+".tolerance", h.Tolerance)
}

// isHeader reports whether name can be that of an HTTP header.
func isHeader(name string) bool {
	ok := name != ""
	for _, c := range name {
		ok = ok && (c == '-' || c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z')
	}
	return ok && textproto.CanonicalMIMEHeaderKey(name) != "Host"
}

// isSAN reports whether name is one that a certificate may have.
func isSAN(name string) bool {
	if strings.Contains(name, "://") {
		u, err := url.Parse(name)
		return err == nil && u.Host != ""
	}
	user, host, email := strings.Cut(name, "@")
	switch {
	case email && user == "":
		return false
	case !email && net.ParseIP(name) != nil:
		return true
	case !email:
		host = strings.TrimPrefix(name, "*.")
	}
	return len(validation.IsDNS1123Subdomain(strings.ToLower(host))) == 0
}

// secret checks a file that has to be named and to hold something.
func (k *checker) secret(path, name, what string) {
	if name == "" {
		k.problem(path, "this is missing; write %s", what)
		return
	}
	before := len(k.problems)
	if k.readable(path, name); len(k.problems) > before {
		return
	}
	if text, err := os.ReadFile(name); err == nil && len(bytes.TrimSpace(text)) == 0 {
		k.problem(path, "%s is empty, so that nobody would be let in; write %s", name, what)
	}
}

// tls checks the files of a listener.
func (k *checker) tls(path string, t *TLS) {
	k.file(path+".certFile", t.CertFile)
	k.file(path+".keyFile", t.KeyFile)
	k.file(path+".clientCAFile", t.ClientCAFile)
	switch {
	case (t.CertFile == "") != (t.KeyFile == ""):
		k.problem(path, "a certificate needs its key; write both certFile and keyFile, or none of them")
	case t.CertFile != "":
	case t.Required:
		k.problem(path+".required", "there is no certificate to encrypt with; write certFile and keyFile, or leave required out where a mesh or a proxy encrypts")
	case t.ClientCAFile != "":
		k.problem(path+".clientCAFile", "it has no effect without certFile and keyFile")
	}
}
