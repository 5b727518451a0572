// Package kube is everything that talks to the Kubernetes API: the Sink that
// creates RemediationRequests and writes their status, the index of what the
// cluster shows, fed by one watch, and the namespaces' labels.
//
// The API server decides: a request's name follows from its fingerprint and
// number alone, so that whoever creates it second learns of the first.
package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

const (
	// fieldManager owns the gateway's part of a request's status.
	fieldManager = "gateway"
	// createTimeout bounds one create or read. An API server answers in
	// milliseconds or is in trouble; a repeated create is found out by name.
	createTimeout = 4 * time.Second
	// applyTimeout bounds one write of a status, which for a storm of
	// thousands takes the API server seconds.
	applyTimeout = 15 * time.Second
	// maxInFlight bounds the writes under way at once. It is half of an API
	// server's default for mutating requests, and more of them at once only
	// wait for etcd.
	maxInFlight = 100
)

// Observer is told of calls to the Kubernetes API. It is called from many
// goroutines at once.
type Observer interface {
	// Created is told of each create: how long it took and how it ended.
	Created(took time.Duration, err error)
	// Wrote is told of each call that writes: create, apply or delete, and the
	// API server's status code, or none.
	Wrote(verb, code string)
	// Disputed is told how a dispute between two requests or memberships was
	// settled by this replica: Struck and the others.
	Disputed(ruling string)
}

// Turn is a change of a request that was not the gateway's doing.
type Turn struct {
	// Request is what it is now, but for its episode and storm.
	Request gateway.Request
	// Gone says that it was deleted.
	Gone bool
}

// Options is what a Sink is made of. All fields are required but
// ApprovalExpiry, Entered, Released, Turned, Silence, Switch and Now.
type Options struct {
	REST *rest.Config
	// Namespace is where the requests live.
	Namespace string
	// Cluster is the gateway's own, empty where it has no name.
	Cluster string

	LateFiring time.Duration
	// Window is how long after its last sighting an episode may have no further
	// request while its own is unfinished.
	Window time.Duration
	// FlushInterval is the least time between two writes of one request's
	// counts, FlushRate how many requests' counts are written a second.
	FlushInterval time.Duration
	FlushRate     float64
	// MaxMembers is how many members one storm request takes.
	MaxMembers int
	// RecentWindow is how far back Recent looks.
	RecentWindow time.Duration
	// ApprovalExpiry is how long after its creation a request on the path
	// conservative waits for approval. With 0 this sink hands none off.
	ApprovalExpiry time.Duration

	// Entered is told of the first requests of episodes that the watch shows
	// after Recent was called, those of other replicas too, as storms count them.
	// It is called from many goroutines at once, and must be quick: the watch
	// waits for it. Nil for nobody.
	Entered func([]gateway.Entry)
	// Released is told of places in the automation's budget that are free again,
	// under the same terms as Entered. Nil for nobody.
	Released func([]gateway.Holding)
	// Turned is told what others do with requests, under the same terms as
	// Entered. Nil for nobody.
	Turned func([]Turn)
	// Silence is after which silence of the watch what the index shows is
	// evidence no more; two minutes where it is 0.
	Silence time.Duration
	// Switch is the people's hand on the automation: in mode shadow nothing is
	// written, and no create is sent that would be bolder than they let it be.
	// Nil for always normal.
	Switch gateway.Switch

	Observer Observer
	Logger   *slog.Logger
	// Now is the local clock, by which the API server's is carried on between
	// its answers; time.Now where it is nil.
	Now func() time.Time
}

func (o *Options) validate() error {
	switch {
	case o.REST == nil:
		return errors.New("kube: no client configuration")
	case o.Namespace == "":
		return errors.New("kube: no namespace")
	case o.FlushRate <= 0:
		return errors.New("kube: flush rate must be above 0")
	case o.MaxMembers <= 0:
		return errors.New("kube: a storm must take members")
	case o.Observer == nil || o.Logger == nil:
		return errors.New("kube: no observer or logger")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Silence <= 0 {
		o.Silence = defaultSilence
	}
	return nil
}

// Unthrottled returns a copy of c without client-side throttling: the API
// server's own fairness decides, and it knows more.
func Unthrottled(c *rest.Config) *rest.Config {
	c = rest.CopyConfig(c)
	c.QPS, c.Burst, c.RateLimiter = -1, 0, nil
	return c
}

// api is the typed client for RemediationRequests of one namespace.
type api struct {
	rest      *rest.RESTClient
	namespace string
	observer  Observer
	params    runtime.ParameterCodec
	// slots bounds the writes under way, and the live reads that decisions wait
	// for.
	slots chan struct{}
	// order is the people's, nil for none.
	order gateway.Switch
}

func newAPI(o Options, c *clock) (*api, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("kube: scheme: %w", err)
	}
	config := Unthrottled(o.REST)
	config.APIPath = "/apis"
	config.GroupVersion = &v1alpha1.GroupVersion
	config.NegotiatedSerializer = codec{serializer.NewCodecFactory(scheme).WithoutConversion()}
	config.ContentType = runtime.ContentTypeJSON
	config.Wrap(c.wrap)
	config.Wrap(heed)
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("kube: client: %w", err)
	}
	return &api{
		rest: client, namespace: o.Namespace, observer: o.Observer,
		params: runtime.NewParameterCodec(scheme), slots: make(chan struct{}, maxInFlight),
		order: o.Switch,
	}, nil
}

// slot waits for leave to call the API and returns what gives it back. A context
// that has ended gets none, so that nothing is sent under it.
func (a *api) slot(ctx context.Context) (release func(), err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	select {
	case a.slots <- struct{}{}:
		return func() { <-a.slots }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// create sends what last returns, which is asked when nothing is waited for any
// more.
func (a *api) create(ctx context.Context, last func() (*v1alpha1.RemediationRequest, error)) (*v1alpha1.RemediationRequest, error) {
	release, err := a.permit(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnsent, err)
	}
	defer release()
	rr, err := last()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnsent, err)
	}
	ctx, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	begin := time.Now()
	created := new(v1alpha1.RemediationRequest)
	// Whoever creates knows for how long to try again, the client does not.
	err = a.rest.Post().MaxRetries(0).Namespace(a.namespace).Resource(v1alpha1.Resource).
		VersionedParams(&metav1.CreateOptions{FieldManager: fieldManager}, a.params).
		Body(rr).Do(ctx).Into(created)
	a.observer.Created(time.Since(begin), err)
	a.observer.Wrote("create", codeText(code(err, http.StatusCreated)))
	return created, err
}

func (a *api) get(ctx context.Context, name string) (*v1alpha1.RemediationRequest, error) {
	ctx, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	rr := new(v1alpha1.RemediationRequest)
	err := a.rest.Get().Namespace(a.namespace).Resource(v1alpha1.Resource).Name(name).Do(ctx).Into(rr)
	return rr, err
}

func (a *api) watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	return a.rest.Get().Namespace(a.namespace).Resource(v1alpha1.Resource).VersionedParams(&o, a.params).Watch(ctx)
}

// apply writes the gateway's part of a status.
func (a *api) apply(ctx context.Context, name string, body []byte) (*v1alpha1.RemediationRequest, error) {
	return a.applyAs(ctx, fieldManager, name, body)
}

// applyAs writes a field manager's part of a status by forced server-side
// apply. The body names the resourceVersion that it was computed from.
func (a *api) applyAs(ctx context.Context, manager, name string, body []byte) (*v1alpha1.RemediationRequest, error) {
	release, err := a.permit(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	force := true
	applied := new(v1alpha1.RemediationRequest)
	err = a.rest.Patch(applyPatch).Namespace(a.namespace).Resource(v1alpha1.Resource).Name(name).SubResource("status").
		VersionedParams(&metav1.PatchOptions{FieldManager: manager, Force: &force}, a.params).
		Body(body).Do(ctx).Into(applied)
	a.observer.Wrote("apply", codeText(code(err, http.StatusOK)))
	return applied, err
}

// code returns the HTTP status that an error stands for, 0 for none.
func code(err error, ok int) int {
	if err == nil {
		return ok
	}
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return int(status.Status().Code)
	}
	return 0
}

func codeText(code int) string {
	if code == 0 {
		return "none"
	}
	return strconv.Itoa(code)
}

// tooLarge are how etcd, and the API server's client of it, say that they will
// never take an object of this size. The API server passes both on as an
// internal error without a reason, so that there is only the text to go by.
var tooLarge = []string{"etcdserver: request is too large", "trying to send message larger than max"}

// denied reports whether a message is that of an admission webhook or policy of
// the cluster that says no to this object. There is nothing but its text to know
// it by: the status is the webhook's choice, 403 where it makes none.
func denied(message string) bool {
	return strings.HasPrefix(message, "admission webhook ") && strings.Contains(message, " denied the request") ||
		strings.Contains(message, ": ValidatingAdmissionPolicy ") && strings.Contains(message, " denied request")
}

// refused reports whether the API will never take what it was sent: it is
// invalid, too large, or not what the cluster's policy allows. All else may
// pass: a namespace that is going away, a quota, a CRD that is not there yet, a
// full etcd.
func refused(err error) bool {
	status := apierrors.APIStatus(nil)
	if !errors.As(err, &status) {
		return false
	}
	message := status.Status().Message
	switch status.Status().Code {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge:
		return true
	case http.StatusForbidden:
		return denied(message)
	default:
		return slices.ContainsFunc(tooLarge, func(text string) bool { return strings.Contains(message, text) })
	}
}

// absent reports whether the API has no object of a name. That it does not know
// the kind, as while it starts, is a 404 as well and says nothing of the object.
func absent(err error, name string) bool {
	status := apierrors.APIStatus(nil)
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	d := status.Status().Details
	return d != nil && d.Name == name && len(d.Causes) == 0
}

// retryAfter returns how long the API asks to be left alone, 0 where it does
// not.
func retryAfter(err error) time.Duration {
	seconds, _ := apierrors.SuggestsClientDelay(err)
	return time.Duration(seconds) * time.Second
}

// errUnsent marks errors of calls that were never sent.
var errUnsent = errors.New("not sent")

// unsent reports whether the API certainly did not carry out a create: it was
// not reached, or said so itself before storing anything.
func unsent(err error) bool {
	switch code(err, 0) {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusTooManyRequests:
		return true
	default:
		return errors.Is(err, errUnsent) || utilnet.IsConnectionRefused(err)
	}
}

// translate makes a permanent refusal one that the domain knows.
func translate(err error) error {
	if refused(err) {
		return fmt.Errorf("%w: %w", gateway.ErrRefused, err)
	}
	return err
}
