package simulation

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kubernaut.io/gateway/api/v1alpha1"
)

// namespace is where the requests live.
const namespace = "kubernaut-system"

// object is one RemediationRequest of the simulated cluster, with what the
// checks have to know of its past.
type object struct {
	// key is what the cluster stores it under; its name, but in variants.
	key string
	rr  *v1alpha1.RemediationRequest
	raw []byte

	version uint64
	// born is when it was created, to the nanosecond; by is who did, empty for
	// other people's objects.
	born time.Time
	by   string
	// withdrawn says that a replica took it away, since it yielded to another.
	withdrawn bool
	// bornVersion is the version as of which it is there.
	bornVersion uint64
	// Of its past: that its episode was resolved, its remediation over, its
	// storm closed.
	resolved, ended, closed bool
	// gone is the step at which it was deleted, 0 while it is there.
	gone int
	// endedAt and goneAt are when that was.
	endedAt, goneAt time.Time
	// goneVersion is the version as of which it is gone.
	goneVersion uint64
}

func (o *object) name() string        { return o.rr.Name }
func (o *object) fingerprint() string { return o.rr.Spec.SignalFingerprint }
func (o *object) there() bool         { return o.gone == 0 }

// change is one entry of the cluster's history, as watches tell it.
type change struct {
	version uint64
	kind    string
	key     string
	raw     []byte
	text    string
}

// api is a simulated API server: one kind, one namespace. It is used by the
// scheduler's goroutine alone.
type api struct {
	world   *world
	objects map[string]*object
	// past are all objects that ever were, in the order of their creation.
	past []*object
	// ghosts says that what is carried out had been given up by its caller.
	ghosts  bool
	version uint64
	history []change
	// compacted is the version before which no watch can begin.
	compacted uint64
	watchers  []*watcher
	// weather is what keeps it from answering, empty for nothing.
	weather fault
	uids    int
}

func newAPI(w *world) *api {
	return &api{world: w, objects: make(map[string]*object), version: 1}
}

// status is an answer of the API server.
type status struct {
	code int
	body []byte
}

func failure(code int, reason metav1.StatusReason, message string) status {
	return about("", code, reason, message)
}

// about is a failure that concerns an object of a name.
func about(name string, code int, reason metav1.StatusReason, message string) status {
	return status{code, mustMarshal(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message,
		Details: &metav1.StatusDetails{Name: name, Group: v1alpha1.GroupVersion.Group, Kind: v1alpha1.Resource},
	})}
}

// listed returns the objects that are there, by name.
func (a *api) listed() []*object {
	list := make([]*object, 0, len(a.objects))
	for _, o := range a.objects {
		list = append(list, o)
	}
	slices.SortFunc(list, func(x, y *object) int { return cmp.Compare(x.key, y.key) })
	return list
}

// find returns the object that is known under a name, nil for none. Variants
// may have several; it is then the newest.
func (a *api) find(name string) *object {
	if o := a.objects[name]; o != nil && a.world.variant.key == nil {
		return o
	}
	var found *object
	for _, o := range a.objects {
		if o.name() == name && (found == nil || o.version > found.version) {
			found = o
		}
	}
	return found
}

// of returns the requests of a fingerprint that are there, the oldest first.
func (a *api) of(fingerprint string) []*object {
	var list []*object
	for _, o := range a.past {
		if o.there() && o.fingerprint() == fingerprint && o.by != "" {
			list = append(list, o)
		}
	}
	return list
}

// sheltering returns the storm requests that have a fingerprint as a member.
func (a *api) sheltering(fingerprint string) []*object {
	var list []*object
	for _, o := range a.past {
		if o.there() && memberOf(o.rr, fingerprint) != nil {
			list = append(list, o)
		}
	}
	return list
}

// memberOf returns what a storm's status says of a member, nil where it is none.
func memberOf(rr *v1alpha1.RemediationRequest, fingerprint string) *v1alpha1.StormMemberRef {
	if rr.Status.Storm == nil {
		return nil
	}
	for _, m := range refs(rr.Status.Storm) {
		if m.Fingerprint == fingerprint {
			return &m
		}
	}
	return nil
}

// commit makes rr the newest state of o and tells the watches.
func (a *api) commit(o *object, rr *v1alpha1.RemediationRequest, kind string) {
	a.version++
	rr.ResourceVersion = strconv.FormatUint(a.version, 10)
	o.rr, o.raw, o.version = rr, encode(rr), a.version
	a.history = append(a.history, change{a.version, kind, o.key, o.raw, titleOf(rr)})
}

// encode writes an object as API servers do.
func encode(rr *v1alpha1.RemediationRequest) []byte {
	body, err := json.Marshal(struct {
		APIVersion string                            `json:"apiVersion"`
		Kind       string                            `json:"kind"`
		Metadata   *metav1.ObjectMeta                `json:"metadata"`
		Spec       *v1alpha1.RemediationRequestSpec  `json:"spec"`
		Status     v1alpha1.RemediationRequestStatus `json:"status"`
	}{v1alpha1.GroupVersion.String(), v1alpha1.Kind, &rr.ObjectMeta, &rr.Spec, rr.Status})
	if err != nil {
		panic(err)
	}
	return body
}

// create carries out a create.
func (a *api) create(body []byte, by string) status {
	rr := new(v1alpha1.RemediationRequest)
	if err := jsonv2.Unmarshal(body, rr); err != nil {
		return failure(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
	}
	key := rr.Name
	if a.world.variant.key != nil && by != "" {
		key = a.world.variant.key(a.world, rr)
	}
	if a.objects[key] != nil {
		return about(rr.Name, http.StatusConflict, metav1.StatusReasonAlreadyExists, rr.Name+" already exists")
	}
	a.uids++
	rr.UID = types.UID(fmt.Sprintf("uid-%d", a.uids))
	rr.CreationTimestamp = metav1.NewTime(time.Now().Truncate(time.Second))
	o := &object{key: key, born: time.Now(), by: by}
	a.commit(o, rr, "ADDED")
	o.bornVersion = o.version
	a.objects[key] = o
	a.world.checks.created(o)
	a.past = append(a.past, o)
	return status{http.StatusCreated, o.raw}
}

// read answers a get.
func (a *api) read(name string) status {
	o := a.find(name)
	if o == nil {
		return about(name, http.StatusNotFound, metav1.StatusReasonNotFound, name+" not found")
	}
	return status{http.StatusOK, o.raw}
}

// apply carries out a server-side apply of the gateway's part of a status.
func (a *api) apply(name string, body []byte) status {
	o := a.find(name)
	if o == nil {
		return about(name, http.StatusNotFound, metav1.StatusReasonNotFound, name+" not found")
	}
	var doc struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
		Status v1alpha1.RemediationRequestStatus `json:"status"`
	}
	if err := jsonv2.Unmarshal(body, &doc); err != nil {
		return failure(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
	}
	if v := doc.Metadata.ResourceVersion; v != "" && v != o.rr.ResourceVersion {
		return about(name, http.StatusConflict, metav1.StatusReasonConflict, "the object has been modified")
	}
	next := o.rr.DeepCopy()
	next.Status.Deduplication, next.Status.SignalState = doc.Status.Deduplication, doc.Status.SignalState
	next.Status.ResolvedTime, next.Status.Storm = doc.Status.ResolvedTime, doc.Status.Storm
	if before, after := mustMarshal(o.rr.Status), mustMarshal(next.Status); string(before) == string(after) {
		return status{http.StatusOK, o.raw} // an apply that changes nothing makes no version
	}
	before := o.rr
	a.commit(o, next, "MODIFIED")
	a.world.checks.applied(o, before)
	return status{http.StatusOK, o.raw}
}

func mustMarshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// remove carries out a delete, of a gateway where by is set.
func (a *api) remove(name string, body []byte, by string) status {
	o := a.find(name)
	if o == nil {
		return about(name, http.StatusNotFound, metav1.StatusReasonNotFound, name+" not found")
	}
	var options metav1.DeleteOptions
	if len(body) > 0 {
		if err := jsonv2.Unmarshal(body, &options); err != nil {
			return failure(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		}
	}
	if p := options.Preconditions; p != nil {
		if p.UID != nil && *p.UID != o.rr.UID || p.ResourceVersion != nil && *p.ResourceVersion != o.rr.ResourceVersion {
			return about(name, http.StatusConflict, metav1.StatusReasonConflict, "the precondition is not met")
		}
	}
	a.erase(o, by)
	return status{http.StatusOK, o.raw}
}

// erase takes an object out of the cluster.
func (a *api) erase(o *object, by string) {
	a.commit(o, o.rr.DeepCopy(), "DELETED")
	delete(a.objects, o.key)
	o.gone, o.goneAt, o.goneVersion = a.world.taken, time.Now(), a.version
	a.world.checks.deleted(o, by)
}

// control lets the controller, or whoever else, change an object.
func (a *api) control(o *object, do func(rr *v1alpha1.RemediationRequest)) {
	rr := o.rr.DeepCopy()
	do(rr)
	a.commit(o, rr, "MODIFIED")
	a.world.checks.controlled(o)
}

// asOf returns the objects as they were at a version.
func (a *api) asOf(version uint64) [][]byte {
	state := make(map[string][]byte)
	for _, c := range a.history {
		if c.version > version {
			break
		}
		if c.kind == "DELETED" {
			delete(state, c.key)
		} else {
			state[c.key] = c.raw
		}
	}
	keys := make([]string, 0, len(state))
	for key := range state {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	list := make([][]byte, len(keys))
	for i, key := range keys {
		list[i] = state[key]
	}
	return list
}

// list answers a list as of a version, of those that select takes.
func (a *api) list(version uint64, selects func(rr *v1alpha1.RemediationRequest) bool) status {
	var list [][]byte
	if selects == nil {
		list = a.asOf(version)
	} else {
		for _, o := range a.listed() {
			if selects(o.rr) {
				list = append(list, o.raw)
			}
		}
	}
	body := fmt.Appendf(nil, `{"apiVersion":%q,"kind":%q,"metadata":{"resourceVersion":"%d"},"items":[`,
		v1alpha1.GroupVersion.String(), v1alpha1.Kind+"List", version)
	for i, raw := range list {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, raw...)
	}
	return status{http.StatusOK, append(body, "]}"...)}
}
