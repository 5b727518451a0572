package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	"kubernaut.io/gateway/api/v1alpha1"
)

// Version is one state of an object.
type Version struct {
	// Revision is the API server's, which orders all that happened in it.
	Revision int64
	// Seen is when the watch told of it.
	Seen   time.Time
	Object *v1alpha1.RemediationRequest
}

// Life is an object from its creation on.
type Life struct {
	Name     string
	UID      types.UID
	Versions []Version
	// Gone is set when the object was deleted, at this revision.
	Gone     int64
	GoneSeen time.Time
	// ByPeople says that it was not the gateway that deleted it.
	ByPeople bool
	// ListedAt is set where the watch missed the creation, to the revision by
	// which the object was there; GoneUnseen says that it missed the end.
	ListedAt   int64
	GoneUnseen bool
}

// Last returns the newest state.
func (l *Life) Last() *v1alpha1.RemediationRequest { return l.Versions[len(l.Versions)-1].Object }

// Created returns the revision of the object's creation, or of its oldest state
// that is known.
func (l *Life) Created() int64 { return l.Versions[0].Revision }

// CreatedBy returns a revision before which all had happened that was to happen
// before the object's creation.
func (l *Life) CreatedBy() int64 {
	if l.ListedAt != 0 {
		return l.ListedAt + 1
	}
	return l.Created()
}

// History is all that happened to the requests of one namespace, as the API
// server's watch tells. It outlasts the server's restarts, of which it misses some
// moments. It is safe for concurrent use.
type History struct {
	client *http.Client
	url    string
	// revision is where the watch goes on; only Run's goroutine knows it.
	revision string

	mu      sync.Mutex
	lives   map[types.UID]*Life
	last    time.Time
	removed map[types.UID]bool
}

// NewHistory returns the history of a namespace that is empty. Run fills it.
func NewHistory(ctx context.Context, api *rest.Config, namespace string) (*History, error) {
	client, err := rest.HTTPClientFor(api)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	h := &History{
		client: client, url: api.Host + "/apis/" + v1alpha1.GroupVersion.String() + "/namespaces/" + namespace + "/" + v1alpha1.Resource,
		lives: make(map[types.UID]*Life), removed: make(map[types.UID]bool), last: time.Now(),
	}
	list, err := h.list(ctx)
	if err != nil {
		return nil, err
	}
	if len(list.Items) > 0 {
		return nil, fmt.Errorf("history: %d requests are there before it begins", len(list.Items))
	}
	h.revision = list.ResourceVersion
	return h, nil
}

// errGap means that the API server does not tell any more what happened. One
// that was started again begins its memory anew.
var errGap = errors.New("history: the API server has forgotten what happened")

// Run watches until ctx ends, over whatever befalls the API server. It asks again
// at once, so that little happens unseen when that is back: client-go would wait
// for a second.
func (h *History) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := h.follow(ctx)
		if errors.Is(err, errGap) {
			err = h.bridge(ctx)
		}
		if err != nil {
			return err
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return nil
}

// follow watches until that ends. An error means that it can't go on.
func (h *History) follow(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet,
		h.url+"?watch=true&allowWatchBookmarks=true&resourceVersion="+h.revision, http.NoBody)
	if err != nil {
		return err
	}
	response, err := h.client.Do(request)
	if err != nil {
		return nil // the server is away
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusGone:
		return errGap
	default:
		return nil // the server is not ready
	}
	events := json.NewDecoder(response.Body)
	for {
		var event struct {
			Type   watch.EventType
			Object json.RawMessage
		}
		if err := events.Decode(&event); err != nil {
			return nil // the server has gone
		}
		if event.Type == watch.Error {
			var status metav1.Status
			if err := json.Unmarshal(event.Object, &status); err != nil || status.Code != http.StatusGone {
				return err
			}
			return errGap
		}
		rr := new(v1alpha1.RemediationRequest)
		if err := json.Unmarshal(event.Object, rr); err != nil {
			return fmt.Errorf("history: %w", err)
		}
		if err := h.note(event.Type, rr); err != nil {
			return err
		}
	}
}

// list returns what is there.
func (h *History) list(ctx context.Context) (*v1alpha1.RemediationRequestList, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := h.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("history: the API server answers %s", response.Status)
	}
	list := new(v1alpha1.RemediationRequestList)
	return list, json.NewDecoder(response.Body).Decode(list)
}

// bridge goes on from what is there now. What happened since the last event has
// happened in an order that is not known.
func (h *History) bridge(ctx context.Context) error {
	list, err := h.list(ctx)
	if err != nil {
		return nil // the server is away
	}
	revision, err := strconv.ParseInt(list.ResourceVersion, 10, 64)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	there := make(map[types.UID]bool)
	for i := range list.Items {
		rr := &list.Items[i]
		there[rr.UID] = true
		l := h.lives[rr.UID]
		if l != nil && l.Last().ResourceVersion == rr.ResourceVersion {
			continue
		}
		if err := h.note(watch.Modified, rr); err != nil {
			return err
		}
		if l == nil {
			h.lives[rr.UID].ListedAt = revision
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for uid, l := range h.lives {
		if !there[uid] && l.Gone == 0 {
			l.Gone, l.GoneSeen, l.GoneUnseen = revision, time.Now(), true
		}
	}
	h.revision = list.ResourceVersion
	return nil
}

// note adds what the watch tells. Only Run's goroutine calls it, and only it
// changes the lives.
func (h *History) note(what watch.EventType, rr *v1alpha1.RemediationRequest) error {
	revision, err := strconv.ParseInt(rr.ResourceVersion, 10, 64)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.revision = rr.ResourceVersion
	if what == watch.Bookmark {
		return nil
	}
	rr.ManagedFields = nil
	h.last = time.Now()
	l := h.lives[rr.UID]
	if l == nil {
		l = &Life{Name: rr.Name, UID: rr.UID}
		h.lives[rr.UID] = l
	}
	if what == watch.Deleted {
		l.Gone, l.GoneSeen = revision, h.last
	} else {
		l.Versions = append(l.Versions, Version{Revision: revision, Seen: h.last, Object: rr})
	}
	return nil
}

// Quiet returns for how long nothing has happened.
func (h *History) Quiet() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Since(h.last)
}

// Removing notes that people are about to delete an object.
func (h *History) Removing(uid types.UID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.removed[uid] = true
}

// There returns the newest state of the objects that are there.
func (h *History) There() []*v1alpha1.RemediationRequest {
	h.mu.Lock()
	defer h.mu.Unlock()
	var there []*v1alpha1.RemediationRequest
	for _, l := range h.lives {
		if l.Gone == 0 {
			there = append(there, l.Last())
		}
	}
	slices.SortFunc(there, func(a, b *v1alpha1.RemediationRequest) int { return compare(a.Name, b.Name) })
	return there
}

// Lives returns all objects in the order of their creation. It is called once
// nothing happens any more.
func (h *History) Lives() []*Life {
	h.mu.Lock()
	defer h.mu.Unlock()
	lives := make([]*Life, 0, len(h.lives))
	for _, l := range h.lives {
		l.ByPeople = l.Gone != 0 && h.removed[l.UID]
		lives = append(lives, l)
	}
	slices.SortFunc(lives, func(a, b *Life) int { return compare(a.Created(), b.Created()) })
	return lives
}

// Verify compares the history with what the API server lists: the same objects
// in the same state.
func (h *History) Verify(ctx context.Context) error {
	list, err := h.list(ctx)
	if err != nil {
		return err
	}
	if there := len(h.There()); there != len(list.Items) {
		return fmt.Errorf("history: %d requests are there by the watch, %d by a list", there, len(list.Items))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range list.Items {
		item := &list.Items[i]
		if l := h.lives[item.UID]; l == nil || l.Last().ResourceVersion != item.ResourceVersion {
			return fmt.Errorf("history: %s is not as the watch has told", item.Name)
		}
	}
	return nil
}
