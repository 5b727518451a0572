package redistest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// slots is how many hash slots a Redis cluster has.
const slots = 16384

// Cluster is a Redis cluster of masters only, over which the slots are split
// evenly.
type Cluster struct{ Nodes []*Server }

// StartCluster returns a cluster of n nodes in which each knows all slots. The
// caller must Close it. Three nodes are the fewest that work.
func StartCluster(ctx context.Context, n int, o Options) (*Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	c := &Cluster{}
	if err := c.assemble(ctx, n, o); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// MustStartCluster is StartCluster, with Close when the test ends.
func MustStartCluster(tb testing.TB, n int, o Options) *Cluster {
	tb.Helper()
	c, err := StartCluster(tb.Context(), n, o)
	return must(tb, c, err)
}

func (c *Cluster) assemble(ctx context.Context, n int, o Options) error {
	buses := make([]int, n)
	for i := range n {
		bus, err := freePort()
		if err != nil {
			return err
		}
		buses[i] = bus
		node, err := start(ctx, o, func(int) []string {
			return []string{"cluster-enabled yes", "cluster-node-timeout 2000", "cluster-port " + strconv.Itoa(bus)}
		})
		if err != nil {
			return fmt.Errorf("start node %d: %w", i, err)
		}
		c.Nodes = append(c.Nodes, node)
		first, last := i*slots/n, (i+1)*slots/n-1
		if _, err := node.Do(ctx, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last)); err != nil {
			return fmt.Errorf("give node %d its slots: %w", i, err)
		}
	}
	for i, node := range c.Nodes[1:] {
		if _, err := c.Nodes[0].Do(ctx, "CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(node.port), strconv.Itoa(buses[i+1])); err != nil {
			return fmt.Errorf("introduce node %d: %w", i+1, err)
		}
	}
	return c.Await(ctx)
}

// Await waits until every node knows every slot's and calls the cluster well.
func (c *Cluster) Await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for i, node := range c.Nodes {
		err := poll(ctx, fmt.Sprintf("node %d to know the cluster", i), func() error {
			answer, err := node.Do(ctx, "CLUSTER", "INFO")
			if err != nil {
				return err
			}
			info, err := answer.ToString()
			if err != nil {
				return err
			}
			if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r", len(c.Nodes))) {
				return fmt.Errorf("it says %q", info)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Addresses returns the addresses of all nodes.
func (c *Cluster) Addresses() []string {
	addresses := make([]string, len(c.Nodes))
	for i, node := range c.Nodes {
		addresses[i] = node.Address()
	}
	return addresses
}

// Close stops all nodes.
func (c *Cluster) Close() error { return closeAll(c.Nodes) }

func closeAll(servers []*Server) error {
	var errs []error
	for _, s := range servers {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}
