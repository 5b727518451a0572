package kube

import (
	"math/rand/v2"
	"reflect"
	"strconv"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

func TestGap(t *testing.T) {
	at := func(minutes int) time.Time { return time.Unix(int64(1e9+60*minutes), 0) }
	if _, found := gapOf(time.Time{}, at(0), time.Hour); found {
		t.Error("a gap before anything was observed")
	}
	if _, found := gapOf(at(0), at(60), time.Hour); found {
		t.Error("a gap though all Events are still there")
	}
	gap, found := gapOf(at(0), at(95), time.Hour)
	if !found || !gap.From.Equal(at(0)) || !gap.To.Equal(at(35)) {
		t.Errorf("got %v, %v", gap, found)
	}
}

// randomCheckpoint has few keys, so that two of them meet.
func randomCheckpoint(r *rand.Rand) eventCheckpoint {
	c := newCheckpoint()
	c.observed = time.Unix(r.Int64N(100), 0).UTC()
	for i := range 3 {
		c.positions[strconv.Itoa(i)] = r.Uint64N(100)
	}
	for range r.IntN(20) {
		c.handled[keyOf(types.UID(strconv.Itoa(r.IntN(10))))] = handled{count: r.Int64N(9) + 1, at: r.Int64N(100)}
	}
	for i := range r.IntN(4) {
		from := time.Unix(int64(100*i)+r.Int64N(3), 0).UTC()
		c.gaps = append(c.gaps, eventGap{From: from, To: from.Add(time.Minute)})
	}
	return c
}

// Replicas may write in any order, and any number of times.
func TestCheckpointsMerge(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		a, b, c := randomCheckpoint(r), randomCheckpoint(r), randomCheckpoint(r)
		same := func(law string, x, y eventCheckpoint) {
			t.Helper()
			if !reflect.DeepEqual(x.merge(newCheckpoint()), y.merge(newCheckpoint())) {
				t.Fatalf("%s:\n%+v\n%+v", law, x, y)
			}
		}
		same("a, b is b, a", a.merge(b), b.merge(a))
		same("a, (b, c) is (a, b), c", a.merge(b.merge(c)), a.merge(b).merge(c))
		same("a, a is a", a.merge(a), a)
		for k, h := range b.handled {
			if m := a.merge(b).handled[k]; m.count < h.count || m.count < a.handled[k].count {
				t.Fatal("a merge goes back")
			}
		}
	}
}

func TestCheckpointIsKept(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		c := randomCheckpoint(r)
		data, binaryData, err := c.encode("me")
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeCheckpoint(data, binaryData, []string{"0", "1", "2"})
		if err != nil || !reflect.DeepEqual(got.merge(newCheckpoint()), c.merge(newCheckpoint())) {
			t.Fatalf("got %+v, %v, want %+v", got, err, c)
		}
	}
	if got, err := decodeCheckpoint(nil, nil, nil); err == nil || len(got.handled)+len(got.positions) > 0 {
		t.Errorf("nothing was read as %+v", got)
	}
}

func TestCheckpointIsBounded(t *testing.T) {
	c := newCheckpoint()
	for i := range maxHandled + 5 {
		c.handled[keyOf(types.UID(strconv.Itoa(i)))] = handled{count: 1, at: int64(i)}
	}
	if n := c.bound(); n != 5 || len(c.handled) != maxHandled {
		t.Errorf("%d were forgotten, %d are left", n, len(c.handled))
	}
	if _, there := c.handled[keyOf("4")]; there {
		t.Error("the oldest is left")
	}
	if size := len(c.encodeHandled()); size > 600<<10 {
		t.Errorf("%d bytes do not fit into a ConfigMap with all else", size)
	}
	c.expire(time.Unix(int64(maxHandled), 0))
	if len(c.handled) != 5 {
		t.Errorf("%d are left, want the 5 newest", len(c.handled))
	}
}

func FuzzCheckpoint(f *testing.F) {
	data, binaryData, err := randomCheckpoint(rand.New(rand.NewPCG(5, 6))).encode("me")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data[checkpointKey], data[gapsKey], binaryData[handledKey])
	f.Add(`{"resourceVersions":{"":"-1"}}`, "[{}]", []byte{1, 2})
	f.Fuzz(func(t *testing.T, position, gaps string, handled []byte) {
		in := map[string]string{checkpointKey: position, gapsKey: gaps}
		c, err := decodeCheckpoint(in, map[string][]byte{handledKey: handled}, []string{""})
		if err != nil {
			return
		}
		data, binaryData, err := c.encode("me")
		if err != nil {
			return // times that JSON can't hold
		}
		again, err := decodeCheckpoint(data, binaryData, []string{""})
		if err != nil || len(again.handled) != len(c.handled) || again.positions[""] != c.positions[""] {
			t.Errorf("%+v became %+v, %v", c, again, err)
		}
	})
}
