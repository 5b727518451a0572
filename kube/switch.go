package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/connrotation"

	"kubernaut.io/gateway"
)

const (
	// switchInterval is how often the ConfigMap is read, and switchTimeout how
	// long that may take. An order is in force on every replica within 5 s: it is
	// read 2 s after it was given at the latest, and where that read hangs by the
	// next one, 2 s later and over another connection.
	switchInterval = 2 * time.Second
	switchTimeout  = 2 * time.Second
	// switchRetry is how long after the beginning of a read that failed the next
	// one begins, at once where it hung.
	switchRetry = time.Second
	// switchUnread is after how long without an answer people are told that the
	// order which is in force may be out of date.
	switchUnread = 5 * time.Second
	// maxNamed is how many namespaces with a wrong annotation are named.
	maxNamed = 5
)

// SwitchObserver is told of what people order. It is called from many goroutines
// at once.
type SwitchObserver interface {
	// Switched is told which mode is in force for the whole cluster, at first and
	// when it changes.
	Switched(mode gateway.Mode)
	// SwitchedNamespaces is told how many namespaces have an order for a mode.
	SwitchedNamespaces(mode gateway.Mode, namespaces int)
}

// SwitchOptions is what a Switch is made of. All fields are required but Now.
type SwitchOptions struct {
	REST *rest.Config
	// Namespace is the gateway's own, where the ConfigMap is.
	Namespace string
	// Namespaces are those whose annotations order something. They have to run
	// for the Switch to hear of it.
	Namespaces *Namespaces
	Observer   SwitchObserver
	Logger     *slog.Logger
	// Now is the clock; time.Now where it is nil.
	Now func() time.Time
}

func (o *SwitchOptions) validate() error {
	switch {
	case o.REST == nil || o.Namespaces == nil:
		return errors.New("kube: switch: no client configuration or namespaces")
	case o.Namespace == "":
		return errors.New("kube: switch: no namespace")
	case o.Observer == nil || o.Logger == nil:
		return errors.New("kube: switch: no observer or logger")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// Switch is gateway.Switch on a Kubernetes API: the ConfigMap gateway-guard for
// the whole cluster, and an annotation for each namespace. Both come through
// watches, so that they are in force at once, and are read every 2 s, so that
// they are in force though a watch has gone silent. What was ordered last holds
// while the API is away.
type Switch struct {
	options SwitchOptions
	// core and metadata read, each over connections of its own, so that what is
	// wrong with those of one does not touch the other.
	core                             kubernetes.Interface
	metadata                         metadata.Interface
	connections, metadataConnections *connrotation.Dialer

	configMap          cache.SharedIndexInformer
	watched, annotated cache.ResourceEventHandlerRegistration

	cluster atomic.Pointer[order]
	// namespaces holds the orders of those that have one. A map that was stored
	// is never changed.
	namespaces atomic.Pointer[map[string]order]
	// read is when, in nanoseconds since 1970, the ConfigMap was last read; 0
	// before that.
	read atomic.Int64

	// mu guards what follows, and changes of what is above.
	mu sync.Mutex
	// version is that of the newest state of the ConfigMap that is known, heard
	// counts what the watch has told.
	version uint64
	heard   int
	// failure is why the last read failed.
	failure error
	told    bool
	// listed is the version of the last list of namespaces that is in force, and
	// annotation that of the newest state of any that is.
	listed, annotation uint64
}

var _ gateway.Switch = (*Switch)(nil)

// unread is in force until the ConfigMap has been read: nobody knows before
// whether anything may be written.
var unread = &order{mode: gateway.ModeShadow, from: "nobody yet: it has not been read"}

// NewSwitch returns a switch that knows nothing yet, which counts as shadow: Run
// fills it, and nothing is to be decided before HasSynced.
func NewSwitch(o SwitchOptions) (*Switch, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	config, connections := rotating(o.REST)
	reader, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("kube: switch: client: %w", err)
	}
	config, metadataConnections := rotating(o.REST)
	meta, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("kube: switch: metadata client: %w", err)
	}
	watcher, err := kubernetes.NewForConfig(Unthrottled(o.REST))
	if err != nil {
		return nil, fmt.Errorf("kube: switch: client: %w", err)
	}
	s := &Switch{
		options: o, core: reader, connections: connections, metadata: meta, metadataConnections: metadataConnections,
		configMap: cache.NewSharedIndexInformer(
			cache.NewListWatchFromClient(watcher.CoreV1().RESTClient(), "configmaps", o.Namespace, fields.OneTermEqualSelector("metadata.name", SwitchConfigMap)),
			&corev1.ConfigMap{}, 0, nil),
	}
	s.cluster.Store(unread)
	s.namespaces.Store(&map[string]order{})
	return s, s.listen()
}

// rotating returns a copy of c for a client whose connections the dialer can
// close.
func rotating(c *rest.Config) (*rest.Config, *connrotation.Dialer) {
	c = Unthrottled(c)
	dial := c.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: switchTimeout}).DialContext
	}
	dialer := connrotation.NewDialer(dial)
	c.Dial = dialer.DialContext
	return c, dialer
}

// listen has the watches tell of what changes.
func (s *Switch) listen() (err error) {
	s.watched, err = s.configMap.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    s.hear,
		UpdateFunc: func(_, obj any) { s.hear(obj) },
		DeleteFunc: s.hearGone,
	})
	if err != nil {
		return fmt.Errorf("kube: switch: %w", err)
	}
	s.annotated, err = s.options.Namespaces.namespaces.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    s.annotate,
		UpdateFunc: func(_, obj any) { s.annotate(obj) },
		DeleteFunc: s.annotateGone,
	})
	if err != nil {
		return fmt.Errorf("kube: switch: %w", err)
	}
	return nil
}

// Mode implements gateway.Switch.
func (s *Switch) Mode(namespace string) (mode gateway.Mode, from string) {
	o := *s.cluster.Load()
	if namespace != "" {
		if own, ok := (*s.namespaces.Load())[namespace]; ok {
			o = o.moreCareful(own)
		}
	}
	return o.mode, o.from
}

// HasSynced reports whether everything has been read once.
func (s *Switch) HasSynced() bool {
	if s.watched.HasSynced() {
		// The watch has told of a ConfigMap by now, if there is one.
		s.cluster.CompareAndSwap(unread, &order{mode: gateway.ModeNormal})
	}
	return s.cluster.Load() != unread && s.annotated.HasSynced()
}

// Problems returns, for people, what is wrong with what is ordered, and that it
// may be out of date where it can't be read.
func (s *Switch) Problems() []string {
	s.mu.Lock()
	failure := s.failure
	s.mu.Unlock()
	var problems []string
	o := *s.cluster.Load()
	if since := s.options.Now().Sub(time.Unix(0, s.read.Load())); failure != nil && since >= switchUnread {
		problems = append(problems, fmt.Sprintf("ConfigMap %s/%s can't be read, mode %s stays in force: %v",
			s.options.Namespace, SwitchConfigMap, o.mode, failure))
	}
	if o.problem != "" {
		problems = append(problems, o.problem)
	}
	var wrong []string
	for _, n := range *s.namespaces.Load() {
		if n.problem != "" {
			wrong = append(wrong, n.problem)
		}
	}
	slices.Sort(wrong)
	if more := len(wrong) - maxNamed; more > 0 {
		wrong = append(wrong[:maxNamed], fmt.Sprintf("the annotations of %d more namespaces", more))
	}
	return append(problems, wrong...)
}

// Run keeps the switch up to date until ctx ends.
func (s *Switch) Run(ctx context.Context) error {
	var running sync.WaitGroup
	running.Go(func() { s.configMap.RunWithContext(ctx) })
	for _, poll := range []func(context.Context) time.Duration{s.poll, s.pollNamespaces} {
		running.Go(func() { repeat(ctx, poll) })
	}
	running.Wait()
	return nil
}

// repeat polls until ctx ends, each time as long after the last began as that
// says.
func repeat(ctx context.Context, poll func(context.Context) (pause time.Duration)) {
	for ctx.Err() == nil {
		begin := time.Now()
		next := begin.Add(poll(ctx))
		select {
		case <-time.After(time.Until(next)):
		case <-ctx.Done():
		}
	}
}

// poll reads the ConfigMap, past all caches of the API server. After a failure
// the next one goes over a new connection, for this one may lead nowhere.
func (s *Switch) poll(ctx context.Context) (pause time.Duration) {
	s.mu.Lock()
	heard := s.heard
	s.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, switchTimeout)
	defer cancel()
	m, err := s.core.CoreV1().ConfigMaps(s.options.Namespace).Get(limited, SwitchConfigMap, metav1.GetOptions{})
	missing := absent(err, SwitchConfigMap)
	if ctx.Err() != nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && !missing {
		if s.failure == nil {
			s.options.Logger.Warn("the switch can't be read; what was ordered last stays in force",
				"component", "kube", "configMap", s.options.Namespace+"/"+SwitchConfigMap, "mode", s.cluster.Load().mode, "error", err)
		}
		s.failure = err
		dropIfDead(s.connections, err)
		return switchRetry
	}
	s.failure = nil
	switch {
	case !missing:
		s.order(m, versionOf(m.ResourceVersion))
	case s.heard == heard:
		// Nothing came meanwhile that this might be older than.
		s.order(nil, s.version)
	}
	s.read.Store(s.options.Now().UnixNano())
	return switchInterval
}

// dropIfDead closes the connections that a read went over where its error is not
// the API server's own.
func dropIfDead(connections *connrotation.Dialer, err error) {
	if apierrors.ReasonForError(err) == metav1.StatusReasonUnknown {
		connections.CloseAll()
	}
}

// hear takes what the watch tells.
func (s *Switch) hear(obj any) {
	if m, ok := obj.(*corev1.ConfigMap); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.heard++
		s.order(m, versionOf(m.ResourceVersion))
	}
}

// hearGone takes that the ConfigMap was deleted. Where the watch missed when, its
// last version is all there is to go by.
func (s *Switch) hearGone(obj any) {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = unknown.Obj
	}
	if m, ok := obj.(*corev1.ConfigMap); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.heard++
		s.order(nil, versionOf(m.ResourceVersion))
	}
}

// order puts what a state of the ConfigMap orders in force, nil for that there
// is none, unless a newer one is known. It is called under the lock.
func (s *Switch) order(m *corev1.ConfigMap, version uint64) {
	if version < s.version || m != nil && version == s.version && s.told {
		return
	}
	s.version = version
	before, now := *s.cluster.Load(), clusterOrder(m)
	s.cluster.Store(&now)
	if s.told && before == now {
		return
	}
	if !s.told || before.mode != now.mode {
		s.options.Observer.Switched(now.mode)
	}
	first := !s.told
	s.told = true
	if first && now.mode == gateway.ModeNormal && now.problem == "" {
		return
	}
	by := ""
	if m != nil {
		by = lastManager(&m.ObjectMeta)
	}
	s.options.Logger.Warn("the mode for the whole cluster was ordered", "component", "kube", "mode", now.mode, "before", before.mode,
		"configMap", s.options.Namespace+"/"+SwitchConfigMap, "there", m != nil, "by", by, "problem", now.problem)
}
