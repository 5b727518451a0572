package adapter

import (
	"strings"

	gateway "kubernaut.io/gateway"
)

// candidates are the labels that name an object, the first that does so wins.
// Prometheus prefixes a metric's own label with exported_ where the target that
// it was scraped from has one of that name: then only the former is the
// affected object's. The label job is never a Job, it names the scrape.
var candidates = [...]struct {
	label, exported, apiVersion, kind string
	clusterScoped                     bool
}{
	{label: "deployment", exported: "exported_deployment", apiVersion: "apps/v1", kind: "Deployment"},
	{label: "statefulset", exported: "exported_statefulset", apiVersion: "apps/v1", kind: "StatefulSet"},
	{label: "daemonset", exported: "exported_daemonset", apiVersion: "apps/v1", kind: "DaemonSet"},
	{label: "job_name", exported: "exported_job_name", apiVersion: "batch/v1", kind: "Job"},
	{label: "cronjob", exported: "exported_cronjob", apiVersion: "batch/v1", kind: "CronJob"},
	{label: "horizontalpodautoscaler", exported: "exported_horizontalpodautoscaler", apiVersion: "autoscaling/v2", kind: "HorizontalPodAutoscaler"},
	{label: "persistentvolumeclaim", exported: "exported_persistentvolumeclaim", apiVersion: "v1", kind: "PersistentVolumeClaim"},
	{label: podLabel, exported: exportedPod, apiVersion: "v1", kind: "Pod"},
	{label: "node", exported: "exported_node", apiVersion: "v1", kind: "Node", clusterScoped: true},
}

const (
	podLabel          = "pod"
	exportedPod       = "exported_pod"
	namespaceLabel    = "namespace"
	exportedNamespace = "exported_namespace"
)

// others are labels by which kube-state-metrics names cluster-scoped objects
// that are no candidates. Beside them a namespace can only be the scrape's.
var others = [...]string{
	"persistentvolume", "certificatesigningrequest",
	"mutatingwebhookconfiguration", "validatingwebhookconfiguration",
}

// ResourceOf returns the object that an alert with these labels is about, not the
// one that was scraped to learn of it; the zero Resource where the labels name
// none. A value that can't be an object's name names none.
func ResourceOf(labels map[string]string) gateway.Resource {
	if len(labels) == 0 {
		return gateway.Resource{}
	}
	own := scrapeOf(labels)
	namespace := first(labels, exportedNamespace, namespaceLabel)
	if !gateway.IsDNSLabel(namespace) {
		namespace = ""
	}
	for i := range candidates {
		c := &candidates[i]
		name := first(labels, c.exported, c.label)
		switch {
		case name == "" || !isSubdomain(name):
		case c.label == podLabel && own.pod:
		case c.clusterScoped:
			return gateway.Resource{APIVersion: c.apiVersion, Kind: c.kind, Name: name}
		case namespace != "":
			return gateway.Resource{APIVersion: c.apiVersion, Kind: c.kind, Namespace: namespace, Name: name}
		}
	}
	if namespace == "" || own.namespace {
		return gateway.Resource{}
	}
	return gateway.Resource{APIVersion: "v1", Kind: "Namespace", Name: namespace}
}

func first(labels map[string]string, exported, label string) string {
	if value := labels[exported]; value != "" {
		return value
	}
	return labels[label]
}

// scrape says which labels of an alert are about the scrape and not about what
// the alert is about.
type scrape struct {
	pod, namespace bool
}

// exporter is a program that is scraped for what it knows of others.
type exporter struct {
	// names are how its job, service, container and pods are called.
	names []string
	// objects says that its metrics name objects in namespaces.
	objects bool
	// hosts says that each of its metrics is about the host that it runs on.
	hosts bool
}

var exporters = [...]exporter{
	{names: []string{"kube-state-metrics"}, objects: true},
	{names: []string{"node-exporter", "node_exporter", "windows-exporter", "windows_exporter"}, hosts: true},
	{names: []string{"blackbox"}},
}

func scrapeOf(labels map[string]string) scrape {
	own := scrape{pod: ownPod(labels)}
	if labels[exportedNamespace] != "" {
		return own
	}
	for _, label := range others {
		if labels[label] != "" {
			own.namespace = true
			return own
		}
	}
	// Sums over the targets of a node exporter, such as those that are down, are
	// about the namespace that it runs in; they have no instance.
	e := exporterOf(labels)
	own.namespace = e != nil && !e.objects && (own.pod || e.hosts && labels["instance"] != "")
	return own
}

// ownPod reports whether the label pod is the scraped target's. With
// honor_labels it may be either's, and then only its name tells.
func ownPod(labels map[string]string) bool {
	pod := labels[podLabel]
	if pod == "" || labels[exportedPod] != "" {
		return false
	}
	if e := exporterOf(labels); e != nil && e.named(pod) {
		// Only metrics about pods have a uid, and so does the exporter's own pod
		// when it is the affected one.
		return !e.objects || labels["uid"] == ""
	}
	// The metric named a namespace and no pod, and the target, a pod that is
	// called like its scrape, had both. A kubelet has no pod of its own.
	return labels[exportedNamespace] != "" &&
		(contains(pod, labels["job"]) || contains(pod, labels["service"]))
}

// exporterOf returns the exporter that the alert's metric was scraped from, nil
// where it is none of those known.
func exporterOf(labels map[string]string) *exporter {
	job := labels["job"]
	for _, name := range [...]string{job, labels["service"]} {
		if e := exporterNamed(name); e != nil {
			return e
		}
	}
	// A container is the scraped one where the metric comes from its target, and
	// the affected one where a kubelet reports it or sums left nothing else.
	if labels["instance"] == "" || strings.Contains(job, "kubelet") || strings.Contains(job, "cadvisor") {
		return nil
	}
	return exporterNamed(labels["container"])
}

func exporterNamed(name string) *exporter {
	if name == "" {
		return nil
	}
	for i := range exporters {
		if exporters[i].named(name) {
			return &exporters[i]
		}
	}
	return nil
}

func (e *exporter) named(name string) bool {
	for _, part := range e.names {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

func contains(name, part string) bool { return part != "" && strings.Contains(name, part) }

// maxName is the length of the longest name of an object, by RFC 1123.
const maxName = 253

// isSubdomain reports whether name is a subdomain by RFC 1123, as the names of
// all candidates are. Kubernetes bounds the whole and not its parts.
func isSubdomain(name string) bool {
	if len(name) > maxName {
		return false
	}
	inner := false
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			inner = true
		case c == '-' && inner && i+1 < len(name) && name[i+1] != '.':
		case c == '.' && inner:
			inner = false
		default:
			return false
		}
	}
	return inner
}
