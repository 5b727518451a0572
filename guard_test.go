package gateway_test

import (
	"testing"

	gateway "kubernaut.io/gateway"
)

func TestGuard(t *testing.T) {
	t.Parallel()
	pod := func(namespace, name string) gateway.Resource {
		return gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: namespace, Name: name}
	}
	tests := []struct {
		name     string
		resource gateway.Resource
		cluster  string
		attempt  int64
		path     gateway.Path
		want     gateway.Path
	}{
		{"nothing to guard", pod("shop", "cart"), "home", 1, gateway.Aggressive, gateway.Aggressive},
		{"nothing to make bolder", pod("shop", "cart"), "home", 1, gateway.Manual, gateway.Manual},
		{"its own namespace", pod("kubernaut-system", "gateway-0"), "home", 1, gateway.Moderate, gateway.Manual},
		{"kube-system", pod("kube-system", "coredns"), "home", 1, gateway.Conservative, gateway.Manual},
		{"monitoring", pod("monitoring", "prometheus-0"), "home", 1, gateway.Aggressive, gateway.Manual},
		{"a namespace that only looks like it", pod("monitoring-2", "x"), "home", 1, gateway.Aggressive, gateway.Aggressive},
		{"a guarded Namespace itself", gateway.Resource{APIVersion: "v1", Kind: "Namespace", Name: "kube-system"}, "home", 1, gateway.Aggressive, gateway.Manual},
		{"a node", gateway.Resource{APIVersion: "v1", Kind: "Node", Name: "n1"}, "home", 1, gateway.Aggressive, gateway.Manual},
		{"an API service", gateway.Resource{APIVersion: "apiregistration.k8s.io/v1", Kind: "APIService", Name: "x"}, "home", 1, gateway.Aggressive, gateway.Manual},
		{"a pod of the control plane", pod("control", "etcd-node-1"), "home", 1, gateway.Aggressive, gateway.Manual},
		{"an API server's pod", pod("control", "kube-apiserver-node-1"), "home", 1, gateway.Aggressive, gateway.Manual},
		{"another cluster", pod("shop", "cart"), "away", 1, gateway.Aggressive, gateway.Manual},
		{"no cluster named", pod("shop", "cart"), "", 1, gateway.Aggressive, gateway.Manual},
		{"a second attempt", pod("shop", "cart"), "home", 2, gateway.Aggressive, gateway.Aggressive},
		{"a third attempt", pod("shop", "cart"), "home", 3, gateway.Aggressive, gateway.Manual},
		{"a tenth attempt", pod("shop", "cart"), "home", 10, gateway.Conservative, gateway.Manual},
	}
	g := gateway.Guard{Namespaces: []string{"kubernaut-system", "kube-system", "monitoring"}, Cluster: "home"}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := &gateway.Signal{Name: "Fault", Resource: test.resource, Cluster: test.cluster}
			path, why := g.Check(s, test.attempt, test.path)
			if path != test.want {
				t.Errorf("path %s (%s), want %s", path, why, test.want)
			}
			if (why != "") != (path != test.path) {
				t.Errorf("path %s instead of %s because %q", path, test.path, why)
			}
		})
	}
}

func TestGuardWithoutCluster(t *testing.T) {
	t.Parallel()
	s := &gateway.Signal{Cluster: "away"}
	if path, why := (gateway.Guard{}).Check(s, 1, gateway.Aggressive); path != gateway.Aggressive {
		t.Errorf("path %s because %s, where no cluster is named", path, why)
	}
}
