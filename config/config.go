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

// Config is the whole file. Every key is optional. docs/configuration.md says
// what each of them means; Default holds their defaults.
type Config struct {
	Webhooks      Webhooks      `yaml:"webhooks"`
	Admin         Admin         `yaml:"admin"`
	Namespace     string        `yaml:"namespace"`
	Cluster       string        `yaml:"cluster"`
	Kubernetes    Kubernetes    `yaml:"kubernetes"`
	Redis         Redis         `yaml:"redis"`
	Sources       []Source      `yaml:"sources"`
	Events        Events        `yaml:"events"`
	Fingerprint   Fingerprint   `yaml:"fingerprint"`
	Owners        Owners        `yaml:"owners"`
	Severity      Severity      `yaml:"severity"`
	Suppress      Suppress      `yaml:"suppress"`
	Silences      Silences      `yaml:"silences"`
	Dedup         Dedup         `yaml:"dedup"`
	Storm         Storm         `yaml:"storm"`
	Environment   Environment   `yaml:"environment"`
	Matrix        Matrix        `yaml:"matrix"`
	Policy        Policy        `yaml:"policy"`
	Guard         Guard         `yaml:"guard"`
	Approval      Approval      `yaml:"approval"`
	Retention     Retention     `yaml:"retention"`
	Spool         Spool         `yaml:"spool"`
	Record        Record        `yaml:"record"`
	Shadow        Shadow        `yaml:"shadow"`
	Audit         Audit         `yaml:"audit"`
	ShutdownDelay time.Duration `yaml:"shutdownDelay"`
}

// Word is a text whose letter case means nothing. The reader keeps it in lower
// case and without space around it.
type Word string

// Webhooks is the port that senders post to.
type Webhooks struct {
	// Address is host:port; an empty host listens on every interface.
	Address        string        `yaml:"address"`
	MaxBodyBytes   int64         `yaml:"maxBodyBytes"`
	RequestTimeout time.Duration `yaml:"requestTimeout"`
	TLS            TLS           `yaml:"tls"`
	// TrustedProxies are CIDRs of those who are believed when they say for whom
	// they send. Empty, headers that do so mean nothing.
	TrustedProxies []string `yaml:"trustedProxies"`
}

// TLS names the files of a TLS server.
type TLS struct {
	CertFile string `yaml:"certFile"`
	KeyFile  string `yaml:"keyFile"`
	// ClientCAFile holds the authorities that vouch for clients.
	ClientCAFile string `yaml:"clientCAFile"`
	// Required refuses to serve without a certificate.
	Required bool `yaml:"required"`
}

// Admin is the port of operators.
type Admin struct {
	Address string `yaml:"address"`
	TLS     TLS    `yaml:"tls"`
	// Auth lists credentials of which any one suffices. Empty, everyone is let in.
	Auth []Auth `yaml:"auth"`
	// Hosts are the names that browsers may ask for, beside loopback's and IP
	// addresses, where no credentials are asked for.
	Hosts []string `yaml:"hosts"`
}

// Kubernetes says how the Kubernetes API is reached.
type Kubernetes struct {
	// Kubeconfig is a file; empty where the process's surroundings tell.
	Kubeconfig string `yaml:"kubeconfig"`
}

// Redis is where replicas share their ledger.
type Redis struct {
	// Addresses are host:port of one server, of a cluster's, or with MasterName
	// of Sentinels. Without one the ledger is in memory.
	Addresses    []string      `yaml:"addresses"`
	MasterName   string        `yaml:"masterName"`
	Username     string        `yaml:"username"`
	PasswordFile string        `yaml:"passwordFile"`
	Sentinel     RedisSentinel `yaml:"sentinel"`
	KeyPrefix    string        `yaml:"keyPrefix"`
	TLS          RedisTLS      `yaml:"tls"`
}

// RedisSentinel is how the Sentinels are reached, where they ask for
// credentials of their own.
type RedisSentinel struct {
	Username     string `yaml:"username"`
	PasswordFile string `yaml:"passwordFile"`
}

// RedisTLS says how connections to Redis are encrypted.
type RedisTLS struct {
	Enabled bool `yaml:"enabled"`
	// CAFile holds the authorities that are trusted; empty for the system's.
	CAFile string `yaml:"caFile"`
	// CertFile and KeyFile are the gateway's own certificate, where the server
	// asks for one.
	CertFile string `yaml:"certFile"`
	KeyFile  string `yaml:"keyFile"`
	// ServerName is what the server's certificate has to be for; empty for the
	// host of the address.
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
	Name   string `yaml:"name"`
	Format Format `yaml:"format"`
	// Auth lists credentials of which any one suffices. Empty, the source opens
	// on loopback only.
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
	Signals     string          `yaml:"signals"`
	Name        string          `yaml:"name"`
	Severity    string          `yaml:"severity"`
	Labels      string          `yaml:"labels"`
	Annotations string          `yaml:"annotations"`
	Resource    MappingResource `yaml:"resource"`
	StartsAt    string          `yaml:"startsAt"`
	Resolved    string          `yaml:"resolved"`
	EndsAt      string          `yaml:"endsAt"`
	Cluster     string          `yaml:"cluster"`
}

// MappingResource are the expressions of the Kubernetes object that a signal is
// about.
type MappingResource struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Namespace  string `yaml:"namespace"`
	Name       string `yaml:"name"`
}

// Resources that a fingerprint may be computed over.
const (
	ByOwner    = "owner"
	ByResource = "resource"
)

// Fingerprint says over which resource fingerprints are computed.
type Fingerprint struct {
	By string `yaml:"by"`
}

// Severity maps house words to severities.
type Severity struct {
	Aliases map[Word]Word `yaml:"aliases"`
}

// Suppress lists signals that are news but no trouble.
type Suppress struct {
	Severities []Word   `yaml:"severities"`
	Signals    []string `yaml:"signals"`
}

// Dedup says when a firing signal is a duplicate, and how counts are written.
type Dedup struct {
	Mode        gateway.DedupMode `yaml:"mode"`
	Window      time.Duration     `yaml:"window"`
	EventWindow time.Duration     `yaml:"eventWindow"`
	StaleAfter  time.Duration     `yaml:"staleAfter"`
	StuckAfter  time.Duration     `yaml:"stuckAfter"`
	Cooldown    time.Duration     `yaml:"cooldown"`
	LateFiring  time.Duration     `yaml:"lateFiring"`
	// FlushInterval is how long a request's count waits to be written, at least.
	FlushInterval time.Duration `yaml:"flushInterval"`
	// FlushRate is the most writes of counts a second, for all requests.
	FlushRate float64 `yaml:"flushRate"`
}

// Storm says when episodes are a storm, and when it ends.
type Storm struct {
	Rate        Threshold     `yaml:"rate"`
	Pattern     Threshold     `yaml:"pattern"`
	Quiet       time.Duration `yaml:"quiet"`
	MaxDuration time.Duration `yaml:"maxDuration"`
	MaxMembers  int           `yaml:"maxMembers"`
}

// Threshold is how many new episodes a window may hold without a storm; 0 for
// no storms of this kind.
type Threshold struct {
	Threshold int           `yaml:"threshold"`
	Window    time.Duration `yaml:"window"`
}

// Environment says how a signal's environment is worked out.
type Environment struct {
	NamespaceLabels []string `yaml:"namespaceLabels"`
	ConfigMap       string   `yaml:"configMap"`
	SignalLabels    []string `yaml:"signalLabels"`
	// Patterns maps globs over namespace names to environments.
	Patterns map[string]Word `yaml:"patterns"`
	// Aliases are added to gateway.DefaultEnvironmentAliases.
	Aliases map[Word]Word `yaml:"aliases"`
	Default Word          `yaml:"default"`
	// CacheTTL is how long what a look-up of the Kubernetes API found is good.
	CacheTTL time.Duration `yaml:"cacheTTL"`
}

// Matrix changes cells of gateway.DefaultMatrix and adds rows and columns.
type Matrix struct {
	// Priority is by severity or gateway.AnySeverity, then by environment or
	// gateway.OtherEnvironment.
	Priority map[Word]map[Word]gateway.Priority `yaml:"priority"`
	// Path is by environment or gateway.OtherEnvironment, then by priority.
	Path map[Word]map[gateway.Priority]gateway.Path `yaml:"path"`
}

// Policy is the Rego policy over the tables.
type Policy struct {
	// Path is a folder of .rego and data files, or one file; empty for none.
	Path string `yaml:"path"`
	// Timeout bounds an evaluation.
	Timeout time.Duration `yaml:"timeout"`
	// TimeZone is that of the clock which the policy sees.
	TimeZone string `yaml:"timeZone"`
}

// Guard names what no automation touches, and how much it may do at once.
type Guard struct {
	Namespaces []string `yaml:"namespaces"`
	Budget     Budget   `yaml:"budget"`
}

// Budget bounds the unfinished requests whose path is not manual; 0 for any
// number.
type Budget struct {
	Owner     int `yaml:"owner"`
	Namespace int `yaml:"namespace"`
	Cluster   int `yaml:"cluster"`
}

// Approval says for how long requests wait for a person's approval.
type Approval struct {
	Expiry time.Duration `yaml:"expiry"`
}

// Retention says when requests are deleted.
type Retention struct {
	// Finished and Failed are for how long a request is kept after its end.
	Finished time.Duration `yaml:"finished"`
	Failed   time.Duration `yaml:"failed"`
	// MaxRequests is how many are kept, 0 for any number.
	MaxRequests int `yaml:"maxRequests"`
}

// Spool keeps accepted signals while the Kubernetes API is away.
type Spool struct {
	Dir      string `yaml:"dir"`
	MaxBytes int64  `yaml:"maxBytes"`
}

// Record keeps what came in, for replay.
type Record struct {
	// Dir is where recordings are written; empty for none.
	Dir string `yaml:"dir"`
	// MaxBytes bounds all recordings in Dir; the oldest go.
	MaxBytes int64 `yaml:"maxBytes"`
}

// Shadow decides what comes in by another configuration as well, which writes
// nothing, to see what would be different.
type Shadow struct {
	// Config is that configuration's file; empty for none.
	Config string `yaml:"config"`
}

// AuditStream is the audit file's name that stands for standard output.
const AuditStream = "-"

// Audit keeps who sent what and what became of it.
type Audit struct {
	// File is where it is written, AuditStream for standard output; empty for no
	// audit log.
	File string `yaml:"file"`
	// MaxBytes is how large a file gets, and MaxFiles how many are kept.
	MaxBytes int64 `yaml:"maxBytes"`
	MaxFiles int   `yaml:"maxFiles"`
	// KeyFile holds the key that lines are signed with; empty for none.
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
