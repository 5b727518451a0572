package chaos

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/fleet"
	"kubernaut.io/gateway/test/redistest"
)

// Numbers of what a round runs.
const (
	replicaCount      = 3
	alertmanagerCount = 2
)

// Sizes of the spool's disks: what a spool takes at rest, and room for more.
const diskSize = 48 << 20

// lateFiring is dedup.lateFiring in all rounds.
const lateFiring = time.Second

// settings are the gateways' in all rounds: quicker than the defaults, so that a
// round holds many episodes' ends. The window is longer than a signal is under
// way, as the default is by far: what replicas decided without each other is told
// from two episodes by that.
const settings = `namespace: %s
redis: {addresses: [%q], keyPrefix: %s}
spool: {dir: %q, maxBytes: %d}
dedup: {window: 15s, cooldown: 2s, lateFiring: 1s, flushInterval: 500ms, flushRate: 50}
storm: {rate: {threshold: 10, window: 10s}, pattern: {threshold: 5, window: 10s}, quiet: 4s}
shutdownDelay: 100ms
`

// world is all that runs in a round.
type world struct {
	api   *cluster.Cluster
	redis *redistest.Server

	replicas []*fleet.Replica
	// toAPI and toRedis are the replicas' ways there.
	toAPI, toRedis []*fleet.Link
	disks          []*fleet.Disk
	managers       []*fleet.Alertmanager
	front          *fleet.Front
}

// build makes a round's world around an API server and a Redis, and starts it.
// Whatever it returns has to be closed, with an error too.
func build(o *Options, api *cluster.Cluster, redis *redistest.Server, dir, namespace string) (*world, error) {
	w := &world{api: api, redis: redis}
	for i := range replicaCount {
		if err := w.addReplica(i, o, dir, namespace); err != nil {
			return w, err
		}
	}
	backends := make([]string, replicaCount)
	for i, r := range w.replicas {
		backends[i] = r.URL
	}
	var err error
	if w.front, err = fleet.NewFront(fleet.Loopback(1)+":8080", backends...); err != nil {
		return w, err
	}
	hosts := make([]string, alertmanagerCount)
	for i := range hosts {
		hosts[i] = fleet.Loopback(byte(50 + i))
	}
	w.managers, err = fleet.NewAlertmanagers(dir, w.front.URL()+"/webhook/prometheus", 3*time.Second, hosts...)
	if err != nil {
		return w, err
	}
	return w, w.start()
}

func (w *world) addReplica(i int, o *Options, dir, namespace string) error {
	name := fmt.Sprintf("replica-%d", i)
	toAPI, err := fleet.NewLink(fleet.Loopback(byte(20+i))+":6443", w.api.Address())
	if err != nil {
		return err
	}
	w.toAPI = append(w.toAPI, toAPI)
	toRedis, err := fleet.NewLink(fleet.Loopback(byte(30+i))+":6379", w.redis.Address())
	if err != nil {
		return err
	}
	w.toRedis = append(w.toRedis, toRedis)
	spool := filepath.Join(dir, "spool-"+name)
	maxBytes := 64 << 20
	disk, err := fleet.NewDisk(spool, diskSize)
	switch {
	case errors.Is(err, fleet.ErrNoDisk) && i == replicaCount-1:
		// Without a disk to fill, one replica has a spool that is soon full.
		maxBytes = smallSpool
	case errors.Is(err, fleet.ErrNoDisk):
	case err != nil:
		return err
	default:
		w.disks = append(w.disks, disk)
	}
	r, err := fleet.NewReplica(fleet.ReplicaOptions{
		Name: name, Binary: o.Gateway, Dir: dir, Host: fleet.Loopback(byte(10 + i)),
		Config:     fmt.Sprintf(settings, namespace, toRedis.Address(), namespace, spool, maxBytes),
		Kubeconfig: w.api.Kubeconfig(), API: toAPI.Address(), Disk: disk,
	})
	if err != nil {
		return err
	}
	w.replicas = append(w.replicas, r)
	return nil
}

// smallSpool is full after some ten signals, in bytes.
const smallSpool = 16 << 10

// start starts everything and waits until it is ready.
func (w *world) start() error {
	for _, r := range w.replicas {
		if err := r.Start(); err != nil {
			return err
		}
	}
	for _, m := range w.managers {
		if err := m.Start(); err != nil {
			return err
		}
	}
	return w.awaitReady()
}

func (w *world) awaitReady() error {
	for _, r := range w.replicas {
		if err := r.AwaitReady(); err != nil {
			return err
		}
	}
	for _, m := range w.managers {
		if err := m.AwaitReady(); err != nil {
			return err
		}
	}
	return nil
}

// heal mends all that faults have left broken, and waits until it works.
func (w *world) heal(ctx context.Context) error {
	var errs error
	for _, l := range append(append([]*fleet.Link(nil), w.toAPI...), w.toRedis...) {
		errs = errors.Join(errs, l.Set(fleet.Fair))
	}
	for _, d := range w.disks {
		errs = errors.Join(errs, d.Free())
	}
	if w.redis.PID() == 0 {
		errs = errors.Join(errs, w.redis.Restart(ctx))
	} else {
		errs = errors.Join(errs, w.redis.Thaw())
	}
	if w.api.PID() == 0 {
		errs = errors.Join(errs, w.api.Restart())
	} else {
		errs = errors.Join(errs, w.api.Thaw())
	}
	for _, p := range w.processes() {
		if p.PID() == 0 {
			errs = errors.Join(errs, p.Start())
		} else {
			errs = errors.Join(errs, p.Thaw())
		}
	}
	return errors.Join(errs, w.awaitReady())
}

// processes returns the replicas and the Alertmanagers.
func (w *world) processes() []*fleet.Process {
	var all []*fleet.Process
	for _, r := range w.replicas {
		all = append(all, r.Process)
	}
	for _, m := range w.managers {
		all = append(all, m.Process)
	}
	return all
}

// close ends all that is the round's own. Gateways end in order, and what they
// should not have said is an error.
func (w *world) close() error {
	var errs error
	for _, m := range w.managers {
		errs = errors.Join(errs, m.Kill())
	}
	for _, r := range w.replicas {
		errs = errors.Join(errs, r.Terminate())
		complaints, err := r.Complaints()
		errs = errors.Join(errs, err)
		for _, c := range complaints {
			errs = errors.Join(errs, errors.New(c))
		}
	}
	if w.front != nil {
		errs = errors.Join(errs, w.front.Close())
	}
	for _, l := range append(append([]*fleet.Link(nil), w.toAPI...), w.toRedis...) {
		errs = errors.Join(errs, l.Close())
	}
	for _, d := range w.disks {
		errs = errors.Join(errs, d.Close())
	}
	return errs
}
