// Package config is the gateway's configuration file: its keys, their defaults,
// and a strict reader that names everything that is wrong with a file at once.
//
// A Config holds what the file says; the methods in rules.go turn it into what
// the domain takes.
package config

import (
	"time"

	"kubernaut.io/gateway"
)

// Config is the whole file. Every key is optional; Default holds their defaults.
//
// The docstring of each field here and below is what docs/configuration.md says of
// its key, less the field's name: make generate puts it there. In it docs/NAME.md
// becomes a link, and "Required." at its beginning the key's default.
type Config struct {
	Webhooks Webhooks `yaml:"webhooks"`
	Admin    Admin    `yaml:"admin"`
	// Namespace is where RemediationRequests and the overrides live. It has to be
	// there, `gateway crd` prints it.
	Namespace string `yaml:"namespace"`
	// Cluster is the name of this cluster, for signals without a `cluster` label.
	// Where it is set, signals of another cluster read no local namespace and get
	// path manual.
	Cluster    string     `yaml:"cluster"`
	Kubernetes Kubernetes `yaml:"kubernetes"`
	Redis      Redis      `yaml:"redis"`
	// Sources are the senders. A list here replaces both default sources.
	Sources     []Source    `yaml:"sources"`
	Events      Events      `yaml:"events"`
	Fingerprint Fingerprint `yaml:"fingerprint"`
	Owners      Owners      `yaml:"owners"`
	Severity    Severity    `yaml:"severity"`
	Suppress    Suppress    `yaml:"suppress"`
	Silences    Silences    `yaml:"silences"`
	Dedup       Dedup       `yaml:"dedup"`
	Storm       Storm       `yaml:"storm"`
	Environment Environment `yaml:"environment"`
	Matrix      Matrix      `yaml:"matrix"`
	Policy      Policy      `yaml:"policy"`
	Guard       Guard       `yaml:"guard"`
	Approval    Approval    `yaml:"approval"`
	Retention   Retention   `yaml:"retention"`
	Spool       Spool       `yaml:"spool"`
	Record      Record      `yaml:"record"`
	Shadow      Shadow      `yaml:"shadow"`
	Audit       Audit       `yaml:"audit"`
	// ShutdownDelay is how long the gateway serves on after it was told to stop,
	// `/readyz` already false, so that whoever balances load looks elsewhere; `0`
	// for none, as in `gateway dev`.
	ShutdownDelay time.Duration `yaml:"shutdownDelay"`
}

// Word is a text whose letter case means nothing. The reader keeps it in lower
// case and without space around it.
type Word string

// Webhooks is the port that senders post to.
type Webhooks struct {
	// Address is the host and port that senders post to; without a host, every
	// interface. Port 0 picks a free one.
	Address string `yaml:"address"`
	// MaxBodyBytes is the largest body that is taken, in bytes; exactly this
	// passes. Up to 1 GiB. A body is held in memory.
	MaxBodyBytes int64 `yaml:"maxBodyBytes"`
	// RequestTimeout is how long a request may take, waiting for the Kubernetes API
	// included.
	RequestTimeout time.Duration `yaml:"requestTimeout"`
	TLS            TLS           `yaml:"tls"`
	// TrustedProxies are networks (`10.1.0.0/16`, `fd00:1::/64`) or addresses of
	// proxies that are believed when they say for whom they send, in
	// `X-Forwarded-For` or `Forwarded`. Empty: such headers mean nothing. Who is a
	// client is in docs/limits.md#who-is-a-client.
	TrustedProxies []string `yaml:"trustedProxies"`
}

// TLS names the files of a TLS server.
type TLS struct {
	// CertFile is the certificate to serve with, and those between it and its
	// authority, in PEM; empty for plain HTTP. How it is renewed is in
	// docs/credentials.md#tls.
	CertFile string `yaml:"certFile"`
	// KeyFile is the certificate's key, in PEM.
	KeyFile string `yaml:"keyFile"`
	// ClientCAFile holds the authorities whose certificates clients may show, for
	// `mtls`.
	ClientCAFile string `yaml:"clientCAFile"`
	// Required refuses to start without a certificate, so that a file which has
	// lost it serves nothing in the clear; leave it where a mesh or a proxy
	// encrypts.
	Required bool `yaml:"required"`
}

// Admin is the port of operators.
type Admin struct {
	// Address is the host and port of `/metrics`, `/healthz`, `/readyz` and the
	// page; not that of webhooks.
	Address string `yaml:"address"`
	TLS     TLS    `yaml:"tls"`
	// Auth lists credentials of which any one suffices, as those of a source but
	// `hmac`. `/healthz` and `/readyz` need none. Empty: everyone is let in.
	Auth []Auth `yaml:"auth"`
	// Hosts are names by which browsers and programs may ask for the page and for
	// explanations where no credentials are asked for, such as
	// `gateway.kubernaut-system.svc`; IP addresses, `localhost` and `*.localhost`
	// always may, and `/healthz`, `/readyz` and `/metrics` answer to any name.
	// Others are answered 421, so that no web page reaches this port by a name of
	// its own that it has point here.
	Hosts []string `yaml:"hosts"`
}

// Kubernetes says how the Kubernetes API is reached.
type Kubernetes struct {
	// Kubeconfig is the file that leads to the Kubernetes API; without one
	// `$KUBECONFIG`, else as a pod of the cluster.
	Kubeconfig string `yaml:"kubeconfig"`
}

// Redis is where replicas share their ledger.
type Redis struct {
	// Addresses are host:port of a server, of some nodes of a cluster, or of
	// Sentinels. Empty: no Redis.
	Addresses []string `yaml:"addresses"`
	// MasterName is the name that Sentinels know the master by; it makes the
	// addresses those of Sentinels.
	MasterName string `yaml:"masterName"`
	// Username is the ACL user; empty for the default user.
	Username string `yaml:"username"`
	// PasswordFile is a file with the password, without or with a line's end; read
	// anew for each connection.
	PasswordFile string        `yaml:"passwordFile"`
	Sentinel     RedisSentinel `yaml:"sentinel"`
	// KeyPrefix stands before every key: give each gateway that shares a Redis its
	// own.
	KeyPrefix string   `yaml:"keyPrefix"`
	TLS       RedisTLS `yaml:"tls"`
}

// RedisSentinel is how the Sentinels are reached, where they ask for
// credentials of their own.
type RedisSentinel struct {
	// Username is the ACL user at the Sentinels.
	Username string `yaml:"username"`
	// PasswordFile is a file with the password at the Sentinels.
	PasswordFile string `yaml:"passwordFile"`
}

// RedisTLS says how connections to Redis are encrypted.
type RedisTLS struct {
	// Enabled encrypts the connections.
	Enabled bool `yaml:"enabled"`
	// CAFile holds the authorities that are trusted; empty for the system's.
	CAFile string `yaml:"caFile"`
	// CertFile is the gateway's own certificate, where Redis asks for one.
	CertFile string `yaml:"certFile"`
	// KeyFile is its key.
	KeyFile string `yaml:"keyFile"`
	// ServerName is the name that the server's certificate has to be for; empty for
	// the host of the address.
	ServerName string `yaml:"serverName"`
}

// Format is the name of a payload format.
type Format string

// The formats that a source may have.
const (
	FormatAlertmanager    Format = "alertmanager"
	FormatKubernetesEvent Format = "kubernetes-event"
	FormatGrafana         Format = "grafana"
	FormatCloudEvents     Format = "cloudevents"
	FormatJSON            Format = "json"
)

// Formats lists the formats, in the order in which messages name them.
var Formats = []Format{FormatAlertmanager, FormatKubernetesEvent, FormatGrafana, FormatCloudEvents, FormatJSON}

// Source is a configured sender, posting to /webhook/NAME.
type Source struct {
	// Required. Name is part of the URL and of metrics: lower-case letters, digits
	// and dashes, at most 63; once only.
	Name string `yaml:"name"`
	// Required. Format is one of `alertmanager`, `kubernetes-event`, `grafana`,
	// `cloudevents` and `json`; docs/sources.md says what each takes.
	Format Format `yaml:"format"`
	// Auth lists credentials of which any one suffices. Empty: allowed where
	// `webhooks.address` is on loopback.
	Auth      []Auth    `yaml:"auth"`
	RateLimit RateLimit `yaml:"rateLimit"`
	Watch     Watch     `yaml:"watch"`
	Mapping   Mapping   `yaml:"mapping"`
	// Reconcile is nil where what fires at the sender is not compared.
	Reconcile *Reconcile `yaml:"reconcile,omitempty"`
	// Heartbeat is nil where nothing is said of signs of life; Signs says what that
	// means.
	Heartbeat *Heartbeat `yaml:"heartbeat,omitempty"`
}

// Mapping is how signals are made of what has no shape of its own: expressions in
// CEL, empty for none. Those of the format cloudevents see the variable event, those
// of json the variable body, and all but Signals the variable item.
type Mapping struct {
	// Signals gives a list, each element the `item` of the other expressions. It
	// is, as all of `mapping`, for the formats `json` and `cloudevents`. Empty: the
	// document is one item, and of a list each element.
	Signals string `yaml:"signals"`
	// Name gives the name of what is wrong; required for `json`. For `cloudevents`
	// empty means `event.type`.
	Name string `yaml:"name"`
	// Severity gives the severity.
	Severity string `yaml:"severity"`
	// Labels gives a map of texts; without a resource they tell one trouble from
	// another. For `cloudevents` empty means `type`, `source` and `subject` of the
	// event.
	Labels string `yaml:"labels"`
	// Annotations gives a map of texts, for people.
	Annotations string          `yaml:"annotations"`
	Resource    MappingResource `yaml:"resource"`
	// StartsAt gives a time: a timestamp, RFC 3339, or a Unix time. For
	// `cloudevents` empty means `event.time`.
	StartsAt string `yaml:"startsAt"`
	// Resolved gives true for an end.
	Resolved string `yaml:"resolved"`
	// EndsAt gives the time of the end.
	EndsAt string `yaml:"endsAt"`
	// Cluster gives the name of the cluster.
	Cluster string `yaml:"cluster"`
}

// MappingResource are the expressions of the Kubernetes object that a signal is
// about.
type MappingResource struct {
	// APIVersion gives the apiVersion; not needed for Kubernetes' own kinds.
	APIVersion string `yaml:"apiVersion"`
	// Kind gives the kind; an empty one means no object.
	Kind string `yaml:"kind"`
	// Namespace gives the namespace.
	Namespace string `yaml:"namespace"`
	// Name gives the name; an empty one means no object.
	Name string `yaml:"name"`
}

// Resources that a fingerprint may be computed over.
const (
	ByOwner    = "owner"
	ByResource = "resource"
)

// Fingerprint says over which resource and fault fingerprints are computed.
type Fingerprint struct {
	// By is `owner`, where the topmost controller (docs/owners.md), if it is known,
	// stands for the resource, so that a new pod is no new trouble; or `resource`:
	// the resource as it is.
	By string `yaml:"by"`
	// Equivalents leads from names of alerts to the reasons of the Events that tell of
	// the same fault, as `{MyPodCrashes: BackOff}`, beside those by default, which
	// docs/owners.md lists. A name that leads to itself takes one of those out.
	Equivalents map[string]string `yaml:"equivalents"`
}

// Severity maps house words to severities.
type Severity struct {
	// Aliases lead from house words to severities, as `{page: critical}`.
	Aliases map[Word]Word `yaml:"aliases"`
}

// Suppress lists signals that are news but no trouble.
type Suppress struct {
	// Severities are those that are news but no trouble.
	Severities []Word `yaml:"severities"`
	// Signals are names of signals that are news but no trouble, in their letter
	// case.
	Signals []string `yaml:"signals"`
}

// Dedup says when a firing signal is a duplicate, and how counts are written.
type Dedup struct {
	// Mode is `episode`, where phases and ends decide, or `window`: a duplicate
	// while seen less than `dedup.window` ago, whatever the phase.
	Mode gateway.DedupMode `yaml:"mode"`
	// Window is how long after its last sighting a request that waits takes further
	// ones, even resolved.
	Window time.Duration `yaml:"window"`
	// EventWindow is how long an episode of Kubernetes Events is open after the
	// last, as they are never resolved.
	EventWindow time.Duration `yaml:"eventWindow"`
	// StaleAfter is how long an episode of alerts is open after the last sighting;
	// below `dedup.window` it has no effect.
	StaleAfter time.Duration `yaml:"staleAfter"`
	// StuckAfter is how long a remediation may be in progress: past that it is
	// stuck, and the next sighting opens a further attempt, for a person.
	StuckAfter time.Duration `yaml:"stuckAfter"`
	// Cooldown is how long after a remediation the same firing is the old trouble
	// still settling; 0 for none.
	Cooldown time.Duration `yaml:"cooldown"`
	// LateFiring is how long after a resolved a firing of the same alert is its
	// echo; 0 for never.
	LateFiring time.Duration `yaml:"lateFiring"`
	// FlushInterval is how often the count of one request is written, at most.
	FlushInterval time.Duration `yaml:"flushInterval"`
	// FlushRate is how many counts are written in a second, for all requests
	// together.
	FlushRate float64 `yaml:"flushRate"`
}

// Storm says when episodes are a storm, and when it ends.
type Storm struct {
	Rate    Threshold `yaml:"rate"`
	Pattern Threshold `yaml:"pattern"`
	// Quiet is how long after its last new member a storm ends; keep it beyond
	// Alertmanager's `group_interval`.
	Quiet time.Duration `yaml:"quiet"`
	// MaxDuration is the age at which a storm ends.
	MaxDuration time.Duration `yaml:"maxDuration"`
	// MaxMembers is the number of members at which a storm ends; at most 5000, what
	// one object holds.
	MaxMembers int `yaml:"maxMembers"`
}

// Threshold is how many new episodes a window may hold without a storm; 0 for
// no storms of this kind.
type Threshold struct {
	// Threshold is how many new episodes a window may hold, of one namespace for
	// `rate`, about different resources with one fault for `pattern`; one more is a
	// storm. 0 for no such storms.
	Threshold int `yaml:"threshold"`
	// Window is how far back they count.
	Window time.Duration `yaml:"window"`
}

// Environment says how a signal's environment is worked out.
type Environment struct {
	// NamespaceLabels are labels of the signal's namespace that tell its
	// environment; the first valid one holds.
	NamespaceLabels []string `yaml:"namespaceLabels"`
	// ConfigMap is the name of one in the gateway's namespace with an operator's
	// overrides.
	ConfigMap string `yaml:"configMap"`
	// SignalLabels are labels of the signal that tell, where the namespace does
	// not.
	SignalLabels []string `yaml:"signalLabels"`
	// Patterns lead from globs over namespace names to environments, as `{"*-prod":
	// production}`; the longest that matches holds.
	Patterns map[string]Word `yaml:"patterns"`
	// Aliases lead from house words to environments, added to prod, live
	// (production), stage, stg (staging), dev, devel (development). `{live: live}`
	// takes one back.
	Aliases map[Word]Word `yaml:"aliases"`
	// Default is the environment where nothing tells; empty for `unknown`.
	Default Word `yaml:"default"`
	// CacheTTL is how long it is believed that a namespace does not exist; labels
	// of those that do come from a watch.
	CacheTTL time.Duration `yaml:"cacheTTL"`
}

// Matrix changes cells of gateway.DefaultMatrix and adds rows and columns.
type Matrix struct {
	// Priority changes cells of the table of priorities, by severity, then
	// environment: `{critical: {qa: P2}}`.
	Priority map[Word]map[Word]gateway.Priority `yaml:"priority"`
	// Path changes cells of the table of paths, by environment, then priority:
	// `{qa: {P0: moderate}}`.
	Path map[Word]map[gateway.Priority]gateway.Path `yaml:"path"`
}

// Policy is the Rego policy over the tables.
type Policy struct {
	// Path is a folder of `.rego` and data files, or one file, that may change what
	// the tables say; docs/policy.md says how.
	Path string `yaml:"path"`
	// Timeout is how long one evaluation may take; beyond it the tables decide. At
	// most 1 s.
	Timeout time.Duration `yaml:"timeout"`
	// TimeZone is that of `input.weekday`, `input.clock` and `input.date`.
	TimeZone string `yaml:"timeZone"`
}

// Guard names what no automation touches, and how much it may do at once.
type Guard struct {
	// Namespaces are those that get path manual always; the gateway's own is one of
	// them in any case.
	Namespaces []string `yaml:"namespaces"`
	Budget     Budget   `yaml:"budget"`
}

// Budget bounds the unfinished requests whose path is not manual; 0 for any
// number.
type Budget struct {
	// Owner is how many unfinished requests about one workload may have another
	// path than manual; 0 for any number.
	Owner int `yaml:"owner"`
	// Namespace is how many about the objects of one namespace may; 0 for any
	// number.
	Namespace int `yaml:"namespace"`
	// Cluster is how many may in all; 0 for any number.
	Cluster int `yaml:"cluster"`
}

// Approval says for how long requests wait for a person's approval.
type Approval struct {
	// Expiry is how long a conservative request waits for approval
	// (docs/approval.md), from its creation; then it is denied.
	Expiry time.Duration `yaml:"expiry"`
}

// Retention says when requests are deleted.
type Retention struct {
	// Finished is how long a request is kept after its end; docs/retention.md has
	// more.
	Finished time.Duration `yaml:"finished"`
	// Failed is how long a request is kept after its end where it failed or timed
	// out.
	Failed time.Duration `yaml:"failed"`
	// MaxRequests is how many are kept at most, finished ones going first; 0 for
	// any number.
	MaxRequests int `yaml:"maxRequests"`
}

// Spool keeps accepted signals while the Kubernetes API is away.
type Spool struct {
	// Dir is where signals are kept while the Kubernetes API can't take them, on a
	// disk that outlasts the process and belongs to this replica alone. Empty: no
	// spool, senders are told 503 and try again.
	Dir string `yaml:"dir"`
	// MaxBytes is how much it may hold, in bytes; when it is full, senders are told
	// 503.
	MaxBytes int64 `yaml:"maxBytes"`
}

// Record keeps what came in, for replay.
type Record struct {
	// Dir is where what comes in and what each decision rests on is recorded, for
	// docs/replay.md; several replicas may share a folder. Empty: no recordings.
	Dir string `yaml:"dir"`
	// MaxBytes is how much the recordings of the folder may take, in bytes; the
	// oldest go.
	MaxBytes int64 `yaml:"maxBytes"`
}

// Shadow decides what comes in by another configuration as well, which writes
// nothing, to see what would be different.
type Shadow struct {
	// Config is the file of a second configuration, by which what comes in is
	// decided as well, with nothing written;
	// docs/replay.md#beside-the-live-one-shadow has more. Taken up anew when it or
	// its policy changes.
	Config string `yaml:"config"`
}

// AuditStream is the audit file's name that stands for standard output.
const AuditStream = "-"

// Audit keeps who sent what and what became of it.
type Audit struct {
	// File is where the log of docs/audit.md is written, on a disk that belongs to
	// this replica alone; its folder has to be there. `"-"` is standard output.
	// Empty: no audit log.
	File string `yaml:"file"`
	// MaxBytes is how large a file of it gets, in bytes, a line more or less; 64
	// KiB at least.
	MaxBytes int64 `yaml:"maxBytes"`
	// MaxFiles is how many files are kept, the one that is written among them; the
	// oldest go. 2 at least.
	MaxFiles int `yaml:"maxFiles"`
	// KeyFile is a file with the key that lines are signed with, 16 bytes at least,
	// such as of `openssl rand -hex 32`; read at the start. Empty: lines are not
	// signed.
	KeyFile string `yaml:"keyFile"`
}

// Default returns the configuration of an empty file. It is not fit to serve as
// it stands: its sources ask for no credentials and its address is open to the
// network, which Validate refuses.
func Default() *Config {
	return &Config{
		Webhooks:  Webhooks{Address: ":8080", MaxBodyBytes: 8 << 20, RequestTimeout: 10 * time.Second},
		Admin:     Admin{Address: ":9090"},
		Namespace: "kubernaut-system",
		Redis:     Redis{KeyPrefix: "gateway"},
		Sources: []Source{
			{Name: "prometheus", Format: FormatAlertmanager},
			{Name: "k8s-event", Format: FormatKubernetesEvent},
		},
		Events:      Events{Wait: 5 * time.Minute, TTL: time.Hour},
		Fingerprint: Fingerprint{By: ByOwner},
		Owners:      Owners{Enabled: true, MaxObjects: 250_000},
		Suppress:    Suppress{Severities: []Word{"none"}, Signals: []string{"Watchdog", "InfoInhibitor"}},
		Silences:    Silences{ConfigMap: "gateway-silences", PollInterval: 15 * time.Second},
		Dedup: Dedup{
			Mode: gateway.ModeEpisode, Window: 5 * time.Minute, EventWindow: 15 * time.Minute,
			StaleAfter: 24 * time.Hour, StuckAfter: 2 * time.Hour, Cooldown: 15 * time.Minute,
			LateFiring: 2 * time.Minute, FlushInterval: 5 * time.Second, FlushRate: 20,
		},
		Storm: Storm{
			Rate:    Threshold{Threshold: 10, Window: time.Minute},
			Pattern: Threshold{Threshold: 5, Window: 2 * time.Minute},
			Quiet:   6 * time.Minute, MaxDuration: time.Hour, MaxMembers: 5000,
		},
		Environment: Environment{
			NamespaceLabels: []string{"environment"}, ConfigMap: "kubernaut-environment-overrides",
			SignalLabels: []string{"environment", "env"}, CacheTTL: 30 * time.Second,
		},
		Policy: Policy{Timeout: 5 * time.Millisecond, TimeZone: "UTC"},
		Guard: Guard{
			Namespaces: []string{"kubernaut-system", "kube-system", "monitoring"},
			Budget:     Budget{Owner: 1, Namespace: 5, Cluster: 20},
		},
		Approval:      Approval{Expiry: time.Hour},
		Retention:     Retention{Finished: 24 * time.Hour, Failed: 168 * time.Hour, MaxRequests: 5000},
		Spool:         Spool{MaxBytes: 1 << 30},
		Record:        Record{MaxBytes: 1 << 30},
		Audit:         Audit{MaxBytes: 100 << 20, MaxFiles: 10},
		ShutdownDelay: 5 * time.Second,
	}
}
