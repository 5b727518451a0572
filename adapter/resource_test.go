package adapter

import (
	"strings"
	"testing"
)

func TestResourceOrder(t *testing.T) {
	// Each label beside all that come after it.
	wants := []struct{ label, want string }{
		{"deployment", "apps/v1 Deployment shop/x"},
		{"statefulset", "apps/v1 StatefulSet shop/x"},
		{"daemonset", "apps/v1 DaemonSet shop/x"},
		{"job_name", "batch/v1 Job shop/x"},
		{"cronjob", "batch/v1 CronJob shop/x"},
		{"horizontalpodautoscaler", "autoscaling/v2 HorizontalPodAutoscaler shop/x"},
		{"persistentvolumeclaim", "v1 PersistentVolumeClaim shop/x"},
		{"pod", "v1 Pod shop/x"},
		{"node", "v1 Node x"},
	}
	for _, prefix := range []string{"", "exported_"} {
		labels := series{"namespace": "shop"}
		for i := len(wants) - 1; i >= 0; i-- {
			if prefix != "" {
				labels[wants[i].label] = "scraped"
			}
			labels[prefix+wants[i].label] = "x"
			if got := show(ResourceOf(labels)); got != wants[i].want {
				t.Errorf("%s%s: got %s, want %s", prefix, wants[i].label, got, wants[i].want)
			}
		}
	}
}

func TestResourceOfLabels(t *testing.T) {
	long := strings.Repeat("a", 254)
	for _, row := range []struct {
		name   string
		labels series
		want   string
	}{
		{"no labels", nil, "none"},
		{"only the scrape's", series{"job": "x", "service": "x", "endpoint": "x", "instance": "x", "exported_job": "x", "exported_service": "x"}, "none"},
		{"exported_job is no Job", series{"exported_job": "x", "namespace": "shop"}, "v1 Namespace shop"},
		{"exported namespace wins", series{"namespace": "monitoring", "exported_namespace": "shop", "pod": "api-0"}, "v1 Pod shop/api-0"},
		{"exported pod and namespace win", series{"namespace": "monitoring", "pod": "exporter-0", "exported_namespace": "shop", "exported_pod": "api-0"}, "v1 Pod shop/api-0"},
		{"exported namespace alone", series{"namespace": "monitoring", "exported_namespace": "shop"}, "v1 Namespace shop"},
		{"the scraper's own pod beside a foreign namespace", series{"job": "velero", "namespace": "velero", "pod": "velero-59f-7q", "exported_namespace": "shop"}, "v1 Namespace shop"},
		{"pod without namespace", series{"pod": "api-0"}, "none"},
		{"pod without namespace beside a node", series{"pod": "api-0", "node": "worker-1"}, "v1 Node worker-1"},
		{"node has no namespace", series{"node": "worker-1", "namespace": "monitoring"}, "v1 Node worker-1"},
		{"deployment without namespace beside a node", series{"deployment": "x", "node": "worker-1"}, "v1 Node worker-1"},
		{"empty labels are none", series{"deployment": "", "namespace": "shop", "pod": "api-0"}, "v1 Pod shop/api-0"},
		{"NUL in a name", series{"deployment": "a\x00b", "namespace": "shop", "pod": "api-0"}, "v1 Pod shop/api-0"},
		{"upper case in a name", series{"pod": "Api", "namespace": "shop"}, "v1 Namespace shop"},
		{"a path in a name", series{"pod": "../secrets/x", "namespace": "shop"}, "v1 Namespace shop"},
		{"too long a name", series{"pod": long, "namespace": "shop"}, "v1 Namespace shop"},
		{"longest name", series{"pod": long[:253], "namespace": "shop"}, "v1 Pod shop/" + long[:253]},
		{"dots in a name", series{"node": "ip-10-0-0-1.eu-west-1.compute.internal"}, "v1 Node ip-10-0-0-1.eu-west-1.compute.internal"},
		{"address as node", series{"node": "10.0.0.1:9100", "namespace": "shop"}, "v1 Namespace shop"},
		{"two dots", series{"pod": "a..b", "namespace": "shop"}, "v1 Namespace shop"},
		{"dash before a dot", series{"pod": "a-.b", "namespace": "shop"}, "v1 Namespace shop"},
		{"dash at the end", series{"pod": "a-", "namespace": "shop"}, "v1 Namespace shop"},
		{"dot at the end", series{"pod": "a.", "namespace": "shop"}, "v1 Namespace shop"},
		{"NUL in a namespace", series{"pod": "api-0", "namespace": "shop\x00"}, "none"},
		{"dot in a namespace", series{"pod": "api-0", "namespace": "shop.eu"}, "none"},
		{"bad exported name is not replaced by the scraper's", series{"pod": "exporter-0", "exported_pod": "?", "namespace": "shop"}, "v1 Namespace shop"},
		{"kube-state-metrics' pod told by its service", series{"service": "x-kube-state-metrics", "pod": "x-kube-state-metrics-0", "namespace": "shop"}, "v1 Namespace shop"},
		{"kube-state-metrics' pod told by its container", series{
			"job": "kubernetes-pods", "instance": "10.0.0.1:8080", "container": "kube-state-metrics", "pod": "kube-state-metrics-0", "namespace": "shop",
		}, "v1 Namespace shop"},
		{"another pod in a kube-state-metrics scrape", series{"job": "kube-state-metrics", "pod": "api-0", "namespace": "shop"}, "v1 Pod shop/api-0"},
		{"windows-exporter", series{"job": "windows-exporter", "pod": "kps-windows-exporter-x", "namespace": "monitoring", "instance": "x"}, "none"},
		{"text file metric about a pod", nodeExporter.prefixed(series{"namespace": "shop", "pod": "api-0"}), "v1 Pod shop/api-0"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := show(ResourceOf(row.labels)); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}
