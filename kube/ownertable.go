package kube

import (
	"strings"
	"sync"
	"time"
	"unique"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// ownerMemory is for how long an object that has gone is remembered: as long as
	// the API server keeps Events about it, by default.
	ownerMemory = time.Hour
	// podShare is how much of the room, in quarters, pods may take. Without their
	// ReplicaSets each of them would have to be asked for.
	podShare = 3
	// goneShare is which part of the room is for objects that have gone.
	goneShare = 4
)

// controller is an object's controller reference. It is in the object's namespace,
// and many objects share one. The zero controller is none.
type controller struct {
	apiVersion, kind, name string
	// hash is how much of the name's end is a dash and the hash of a Deployment's
	// template, as the object's label says; 0 for nothing.
	hash uint8
}

// controllerOf returns the controller of an object. A Node is none: what it runs
// by itself has nothing to do with each other.
func controllerOf(m metav1.Object) controller {
	ref := metav1.GetControllerOfNoCopy(m)
	if ref == nil || ref.Kind == "Node" && ref.APIVersion == "v1" {
		return controller{}
	}
	c := controller{apiVersion: ref.APIVersion, kind: ref.Kind, name: ref.Name}
	suffix := "-" + m.GetLabels()[appsv1.DefaultDeploymentUniqueLabelKey]
	if ref.Kind == "ReplicaSet" && len(suffix) > 1 && len(suffix) < len(ref.Name) && strings.HasSuffix(ref.Name, suffix) {
		c.hash = uint8(min(len(suffix), 255))
	}
	return c
}

// owned is what is kept of an object: 16 bytes beside its name.
type owned struct {
	by unique.Handle[controller]
	// gone is when it was deleted, in seconds since 1970; 0 while it is there.
	gone uint32
}

// watchedKind is a kind whose objects the table has.
type watchedKind int

const (
	watchedPods watchedKind = iota
	watchedReplicaSets
	watchedJobs
	watchedKinds
)

// goneObject is one that the table remembers.
type goneObject struct {
	kind            watchedKind
	namespace, name string
	at              uint32
}

// ownerTable holds which object has which controller, of those that are there and
// of those that were until lately. It is bounded in both, and safe for concurrent
// use.
type ownerTable struct {
	most int

	mu sync.RWMutex
	// objects are by namespace and name.
	objects [watchedKinds]map[string]map[string]owned
	live    [watchedKinds]int
	// gone are in the order of their deletion. One that is there again is passed
	// over when its time is up.
	gone []goneObject
	// leftOut counts the objects that there was no room for.
	leftOut int64
}

func newOwnerTable(most int) *ownerTable {
	t := &ownerTable{most: most}
	for k := range t.objects {
		t.objects[k] = make(map[string]map[string]owned)
	}
	return t
}

// seenOwned is what a watch shows of an object.
type seenOwned struct {
	namespace, name string
	by              controller
}

// get returns the controller of an object, and whether the object has gone; false
// for one that is not known.
func (t *ownerTable) get(kind watchedKind, namespace, name string, now time.Time) (by controller, gone, ok bool) {
	t.mu.RLock()
	o, ok := t.objects[kind][namespace][name]
	t.mu.RUnlock()
	if !ok || o.gone > 0 && now.Unix()-int64(o.gone) > int64(ownerMemory/time.Second) {
		return controller{}, false, false
	}
	return o.by.Value(), o.gone > 0, true
}

// put takes in an object that is there.
func (t *ownerTable) put(kind watchedKind, s seenOwned) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.set(kind, s)
}

// remove notes that an object has gone.
func (t *ownerTable) remove(kind watchedKind, namespace, name string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bury(kind, namespace, name, uint32(now.Unix()))
	t.forget(now)
}

// replace takes in all objects of a kind that are there. The others have gone.
func (t *ownerTable) replace(kind watchedKind, all []seenOwned, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.objects[kind]
	t.objects[kind], t.live[kind] = make(map[string]map[string]owned, len(before)), 0
	for _, s := range all {
		t.set(kind, s)
	}
	at := uint32(now.Unix())
	for namespace, objects := range before {
		for name, o := range objects {
			if _, there := t.objects[kind][namespace][name]; there {
				continue
			}
			if o.gone == 0 {
				o.gone = at
				t.gone = append(t.gone, goneObject{kind, namespace, name, at})
			}
			t.in(kind, namespace)[name] = o
		}
	}
	t.forget(now)
}

// sizes returns how many objects are kept that are there and that have gone, and
// how many were left out.
func (t *ownerTable) sizes() (live, gone int, leftOut int64) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, n := range t.live {
		live += n
	}
	return live, len(t.gone), t.leftOut
}

// What follows needs the lock.

func (t *ownerTable) in(kind watchedKind, namespace string) map[string]owned {
	objects := t.objects[kind][namespace]
	if objects == nil {
		objects = make(map[string]owned)
		t.objects[kind][strings.Clone(namespace)] = objects
	}
	return objects
}

// set takes in an object, unless there is no room for one more.
func (t *ownerTable) set(kind watchedKind, s seenOwned) {
	before, known := t.objects[kind][s.namespace][s.name]
	if !known || before.gone > 0 {
		if t.full(kind) {
			t.leftOut++
			return
		}
		t.live[kind]++
	}
	name := s.name
	if !known {
		name = strings.Clone(name)
	}
	t.in(kind, s.namespace)[name] = owned{by: unique.Make(s.by)}
}

func (t *ownerTable) full(kind watchedKind) bool {
	all := 0
	for _, n := range t.live {
		all += n
	}
	return all >= t.most || kind == watchedPods && t.live[kind] >= t.most*podShare/4
}

// bury marks an object as gone.
func (t *ownerTable) bury(kind watchedKind, namespace, name string, at uint32) {
	o, known := t.objects[kind][namespace][name]
	if !known || o.gone > 0 {
		return
	}
	o.gone = at
	t.objects[kind][namespace][name] = o
	t.live[kind]--
	t.gone = append(t.gone, goneObject{kind, namespace, name, at})
}

// forget forgets what has been gone for too long, and the oldest of too many.
func (t *ownerTable) forget(now time.Time) {
	until := now.Add(-ownerMemory).Unix()
	n := 0
	for n < len(t.gone) && (int64(t.gone[n].at) < until || len(t.gone)-n > t.most/goneShare) {
		t.drop(t.gone[n])
		n++
	}
	if n == 0 {
		return
	}
	// What lies before the rest goes when the rest is moved by append.
	clear(t.gone[:n])
	t.gone = t.gone[n:]
}

// drop forgets an object, unless it has been there since.
func (t *ownerTable) drop(g goneObject) {
	objects := t.objects[g.kind][g.namespace]
	if o, known := objects[g.name]; !known || o.gone != g.at {
		return
	}
	delete(objects, g.name)
	if len(objects) == 0 {
		delete(t.objects[g.kind], g.namespace)
	}
}
