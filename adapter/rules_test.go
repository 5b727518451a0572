package adapter

import (
	"fmt"
	"maps"
	"testing"

	gateway "kubernaut.io/gateway"
)

// series are the labels of a target, a metric or an alert.
type series map[string]string

// honored is what Prometheus makes of a metric scraped from target s with
// honor_labels: the metric's labels win.
func (s series) honored(metric series) series {
	scraped := maps.Clone(s)
	maps.Copy(scraped, metric)
	return scraped
}

// prefixed is what Prometheus makes of it without honor_labels: the target's
// labels win, and those of the metric that clash get a prefix.
func (s series) prefixed(metric series) series {
	scraped := maps.Clone(s)
	for name, value := range metric {
		if _, clash := s[name]; clash {
			name = "exported_" + name
		}
		scraped[name] = value
	}
	return scraped
}

// by is what an aggregation by these labels leaves.
func (s series) by(names ...string) series {
	left := series{}
	for _, name := range names {
		if value, ok := s[name]; ok {
			left[name] = value
		}
	}
	return left
}

// without is what an aggregation or a match without these labels leaves.
func (s series) without(names ...string) series {
	left := maps.Clone(s)
	for _, name := range names {
		delete(left, name)
	}
	return left
}

// What kube-prometheus-stack scrapes, unless said otherwise. The operator gives
// every target of a Service its namespace, service, endpoint, pod, container.
var (
	ksm = series{
		"job": "kube-state-metrics", "service": "kps-kube-state-metrics", "endpoint": "http", "instance": "10.244.1.17:8080",
		"container": "kube-state-metrics", "pod": "kps-kube-state-metrics-6d5f7c9b8d-4zq7p", "namespace": "monitoring",
	}
	// The jsonnet of kube-prometheus drops what would clash.
	ksmDropped = ksm.without("pod", "service", "endpoint", "namespace")

	nodeExporter = series{
		"job": "node-exporter", "service": "kps-prometheus-node-exporter", "endpoint": "http-metrics", "instance": "10.0.0.11:9100",
		"container": "node-exporter", "pod": "kps-prometheus-node-exporter-x7x2k", "namespace": "monitoring",
	}
	// With attachMetadata of the monitor, or a relabeling that many use.
	nodeExporterOnNode = nodeExporter.honored(series{"node": "worker-1"})

	kubelet = series{
		"job": "kubelet", "service": "kps-kubelet", "endpoint": "https-metrics", "instance": "10.0.0.11:10250",
		"namespace": "kube-system", "node": "worker-1", "metrics_path": "/metrics",
	}
	cadvisor = kubelet.honored(series{"metrics_path": "/metrics/cadvisor"})

	apiserver = series{
		"job": "apiserver", "service": "kubernetes", "endpoint": "https", "instance": "10.0.0.10:6443", "namespace": "default",
	}
	etcd = series{
		"job": "kube-etcd", "service": "kps-kube-etcd", "endpoint": "http-metrics", "instance": "10.0.0.10:2381",
		"container": "etcd", "pod": "etcd-control-1", "namespace": "kube-system",
	}
	coredns = series{
		"job": "coredns", "service": "kps-coredns", "endpoint": "http-metrics", "instance": "10.244.0.3:9153",
		"container": "coredns", "pod": "coredns-668d6bf9bc-8ngkq", "namespace": "kube-system",
	}
	prometheus = series{
		"job": "kps-prometheus", "service": "kps-prometheus", "endpoint": "http-web", "instance": "10.244.2.8:9090",
		"container": "prometheus", "pod": "prometheus-kps-prometheus-0", "namespace": "monitoring",
	}
	alertmanager = series{
		"job": "kps-alertmanager", "service": "kps-alertmanager", "endpoint": "http-web", "instance": "10.244.2.9:9093",
		"container": "alertmanager", "pod": "alertmanager-kps-alertmanager-0", "namespace": "monitoring",
	}
	operator = series{
		"job": "kps-operator", "service": "kps-operator", "endpoint": "https", "instance": "10.244.1.4:10250",
		"container": "kube-prometheus-stack", "pod": "kps-operator-5b9cfc5f6c-qq2lm", "namespace": "monitoring",
	}
	blackboxMonitor = series{
		"job": "blackbox-exporter", "service": "prometheus-blackbox-exporter", "endpoint": "http", "instance": "https://shop.example",
		"container": "blackbox-exporter", "pod": "prometheus-blackbox-exporter-7c9d8f-2lqhf", "namespace": "monitoring", "target": "website",
	}
	// A Probe's targets get the Probe's own namespace and nothing of a pod.
	blackboxProbe = series{"job": "website", "instance": "https://shop.example", "namespace": "shop"}

	certManager = series{
		"job": "cert-manager", "service": "cert-manager", "endpoint": "http-metrics", "instance": "10.244.1.5:9402",
		"container": "cert-manager-controller", "pod": "cert-manager-6c4b7d9f-9xk2s", "namespace": "cert-manager",
	}
)

// What the metrics name themselves.
var (
	waiting = series{
		"namespace": "shop", "pod": "checkout-7d9c5b8f6d-x2x7k", "uid": "5b3c1f0e-7c55-4f4e-9d0a-2f7b4f6f0c1d",
		"container": "checkout", "reason": "CrashLoopBackOff",
	}
	podPhase   = series{"namespace": "shop", "pod": "checkout-7d9c5b8f6d-x2x7k", "uid": "5b3c1f0e", "phase": "Pending"}
	deployment = series{"namespace": "shop", "deployment": "checkout"}
	stateful   = series{"namespace": "shop", "statefulset": "orders-db"}
	daemon     = series{"namespace": "kube-system", "daemonset": "kube-proxy"}
	job        = series{"namespace": "shop", "job_name": "invoices-29012345"}
	hpa        = series{"namespace": "shop", "horizontalpodautoscaler": "checkout"}
	pdb        = series{"namespace": "shop", "poddisruptionbudget": "checkout"}
	quota      = series{"namespace": "shop", "resourcequota": "compute", "resource": "requests.cpu", "type": "used"}
	volume     = series{"persistentvolume": "pvc-0a1b2c", "phase": "Failed"}
	claim      = series{"namespace": "shop", "persistentvolumeclaim": "data-orders-db-0"}
	ready      = series{"node": "worker-1", "condition": "Ready", "status": "true"}
	throttled  = series{"namespace": "shop", "pod": "checkout-7d9c5b8f6d-x2x7k", "container": "checkout", "id": "/kubepods/x", "image": "shop/checkout"}
	filesystem = series{"device": "/dev/sda1", "fstype": "ext4", "mountpoint": "/"}
	network    = series{"device": "eth0"}
)

// ruleTable has the rules of kube-prometheus-stack and its like, each with the
// labels that its expression leaves and the object that it is about.
var ruleTable = []struct {
	rule   string
	labels series
	want   string
}{
	// kubernetes-apps
	{"KubePodCrashLooping", ksm.honored(waiting), "v1 Pod shop/checkout-7d9c5b8f6d-x2x7k"},
	{"KubePodCrashLooping, labels dropped", ksmDropped.honored(waiting), "v1 Pod shop/checkout-7d9c5b8f6d-x2x7k"},
	{"KubePodCrashLooping, labels not honored", ksm.prefixed(waiting), "v1 Pod shop/checkout-7d9c5b8f6d-x2x7k"},
	{"KubePodCrashLooping, of kube-state-metrics itself", ksm.honored(series{
		"namespace": "monitoring", "pod": "kps-kube-state-metrics-6d5f7c9b8d-4zq7p", "uid": "77aa", "container": "kube-state-metrics", "reason": "CrashLoopBackOff",
	}), "v1 Pod monitoring/kps-kube-state-metrics-6d5f7c9b8d-4zq7p"},
	{"KubePodCrashLooping, of a node-exporter", ksm.honored(series{
		"namespace": "monitoring", "pod": "kps-prometheus-node-exporter-x7x2k", "uid": "88bb", "container": "node-exporter", "reason": "CrashLoopBackOff",
	}), "v1 Pod monitoring/kps-prometheus-node-exporter-x7x2k"},
	{"KubePodNotReady", ksm.honored(podPhase).by("cluster", "namespace", "pod"), "v1 Pod shop/checkout-7d9c5b8f6d-x2x7k"},
	{"KubeDeploymentGenerationMismatch", ksm.honored(deployment), "apps/v1 Deployment shop/checkout"},
	{"KubeDeploymentGenerationMismatch, labels not honored", ksm.prefixed(deployment), "apps/v1 Deployment shop/checkout"},
	{"KubeDeploymentReplicasMismatch", ksm.honored(deployment), "apps/v1 Deployment shop/checkout"},
	{"KubeDeploymentReplicasMismatch, labels dropped", ksmDropped.honored(deployment), "apps/v1 Deployment shop/checkout"},
	{"KubeDeploymentRolloutStuck", ksm.honored(deployment).honored(series{"condition": "Progressing", "status": "false"}), "apps/v1 Deployment shop/checkout"},
	{"KubeStatefulSetReplicasMismatch", ksm.honored(stateful), "apps/v1 StatefulSet shop/orders-db"},
	{"KubeStatefulSetGenerationMismatch", ksm.honored(stateful), "apps/v1 StatefulSet shop/orders-db"},
	{"KubeStatefulSetUpdateNotRolledOut", ksm.honored(stateful).without("revision"), "apps/v1 StatefulSet shop/orders-db"},
	{"KubeStatefulSetUpdateNotRolledOut, labels not honored", ksm.prefixed(stateful), "apps/v1 StatefulSet shop/orders-db"},
	{"KubeDaemonSetRolloutStuck", ksm.honored(daemon), "apps/v1 DaemonSet kube-system/kube-proxy"},
	{"KubeDaemonSetNotScheduled", ksm.honored(daemon), "apps/v1 DaemonSet kube-system/kube-proxy"},
	{"KubeDaemonSetMisScheduled", ksm.honored(daemon), "apps/v1 DaemonSet kube-system/kube-proxy"},
	{"KubeDaemonSetMisScheduled, labels not honored", ksm.prefixed(daemon), "apps/v1 DaemonSet kube-system/kube-proxy"},
	{"KubeContainerWaiting", ksm.honored(waiting).by("namespace", "pod", "container"), "v1 Pod shop/checkout-7d9c5b8f6d-x2x7k"},
	{"KubeContainerWaiting, of kube-state-metrics itself", series{
		"namespace": "monitoring", "pod": "kps-kube-state-metrics-6d5f7c9b8d-4zq7p", "container": "kube-state-metrics",
	}, "v1 Pod monitoring/kps-kube-state-metrics-6d5f7c9b8d-4zq7p"},
	{"KubeJobNotCompleted", ksm.honored(job).by("namespace", "job_name"), "batch/v1 Job shop/invoices-29012345"},
	{"KubeJobFailed", ksm.honored(job).honored(series{"condition": "true"}), "batch/v1 Job shop/invoices-29012345"},
	{"KubeJobFailed, labels not honored", ksm.prefixed(job), "batch/v1 Job shop/invoices-29012345"},
	{"KubeCronJobRunning", ksm.honored(series{"namespace": "shop", "cronjob": "invoices"}), "batch/v1 CronJob shop/invoices"},
	{"KubeHpaReplicasMismatch", ksm.honored(hpa), "autoscaling/v2 HorizontalPodAutoscaler shop/checkout"},
	{"KubeHpaMaxedOut", ksm.honored(hpa), "autoscaling/v2 HorizontalPodAutoscaler shop/checkout"},
	{"KubePdbNotEnoughHealthyPods", ksm.honored(pdb), "v1 Namespace shop"},

	// kubernetes-resources
	{"KubeCPUOvercommit", series{}, "none"},
	{"KubeMemoryOvercommit", series{"cluster": "eu-1"}, "none"},
	{"KubeCPUQuotaOvercommit", series{}, "none"},
	{"KubeMemoryQuotaOvercommit", series{}, "none"},
	{"KubeQuotaAlmostFull", ksm.honored(quota).without("instance", "job", "type"), "v1 Namespace shop"},
	{"KubeQuotaFullyUsed", ksmDropped.honored(quota).without("instance", "job", "type"), "v1 Namespace shop"},
	{"KubeQuotaExceeded, labels not honored", ksm.prefixed(quota).without("instance", "job", "type"), "v1 Namespace shop"},
	{"CPUThrottlingHigh", cadvisor.honored(throttled).by("cluster", "container", "pod", "namespace"), "v1 Pod shop/checkout-7d9c5b8f6d-x2x7k"},
	{"CPUThrottlingHigh, of kube-state-metrics itself", cadvisor.honored(series{
		"namespace": "monitoring", "pod": "kps-kube-state-metrics-6d5f7c9b8d-4zq7p", "container": "kube-state-metrics",
	}).by("container", "pod", "namespace"), "v1 Pod monitoring/kps-kube-state-metrics-6d5f7c9b8d-4zq7p"},
	{"ContainerHighMemoryUsage, no aggregation", cadvisor.honored(throttled), "v1 Pod shop/checkout-7d9c5b8f6d-x2x7k"},
	{"ContainerHighMemoryUsage, labels not honored", cadvisor.prefixed(throttled), "v1 Pod shop/checkout-7d9c5b8f6d-x2x7k"},
	{"ContainerHighMemoryUsage, of a node-exporter", cadvisor.honored(series{
		"namespace": "monitoring", "pod": "kps-prometheus-node-exporter-x7x2k", "container": "node-exporter",
	}), "v1 Pod monitoring/kps-prometheus-node-exporter-x7x2k"},

	// kubernetes-storage
	{"KubePersistentVolumeFillingUp", kubelet.honored(claim), "v1 PersistentVolumeClaim shop/data-orders-db-0"},
	{"KubePersistentVolumeFillingUp, labels not honored", kubelet.prefixed(claim), "v1 PersistentVolumeClaim shop/data-orders-db-0"},
	{"KubePersistentVolumeInodesFillingUp", kubelet.honored(claim), "v1 PersistentVolumeClaim shop/data-orders-db-0"},
	{"KubePersistentVolumeErrors", ksm.honored(volume), "none"},
	{"KubePersistentVolumeErrors, labels dropped", ksmDropped.honored(volume), "none"},

	// kubernetes-system, -apiserver, -kubelet, -scheduler, -controller-manager
	{"KubeVersionMismatch", series{}, "none"},
	{"KubeClientErrors", apiserver.by("cluster", "instance", "job", "namespace"), "v1 Namespace default"},
	{"KubeAPIErrorBudgetBurn", series{"long": "1h", "short": "5m"}, "none"},
	{"KubeClientCertificateExpiration", apiserver, "v1 Namespace default"},
	{"KubeAggregatedAPIErrors", series{"name": "v1beta1.metrics.k8s.io", "namespace": "default"}, "v1 Namespace default"},
	{"KubeAggregatedAPIDown", series{"name": "v1beta1.metrics.k8s.io", "cluster": "eu-1"}, "none"},
	{"KubeAPIDown", series{"job": "apiserver"}, "none"},
	{"KubeAPITerminatedRequests", series{}, "none"},
	{"KubeNodeNotReady", ksm.honored(ready), "v1 Node worker-1"},
	{"KubeNodeNotReady, labels dropped", ksmDropped.honored(ready), "v1 Node worker-1"},
	{"KubeNodeNotReady, labels not honored", ksm.prefixed(ready), "v1 Node worker-1"},
	{"KubeNodeUnreachable", ksm.honored(series{"node": "worker-1", "key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}), "v1 Node worker-1"},
	{"KubeNodePressure", ksm.honored(series{"node": "worker-1", "condition": "MemoryPressure", "status": "true"}), "v1 Node worker-1"},
	{"KubeNodeEviction", series{"node": "worker-1", "cluster": "eu-1", "eviction_signal": "memory.available"}, "v1 Node worker-1"},
	{"KubeletTooManyPods", ksm.honored(series{"node": "worker-1"}).by("cluster", "node"), "v1 Node worker-1"},
	{"KubeNodeReadinessFlapping", ksm.honored(ready).by("cluster", "node"), "v1 Node worker-1"},
	{"KubeletPlegDurationHigh", kubelet.by("cluster", "instance", "node").honored(series{"quantile": "0.99"}), "v1 Node worker-1"},
	{"KubeletPodStartUpLatencyHigh", kubelet.by("cluster", "instance", "node"), "v1 Node worker-1"},
	{"KubeletClientCertificateExpiration", kubelet, "v1 Node worker-1"},
	{"KubeletServerCertificateExpiration", kubelet, "v1 Node worker-1"},
	{"KubeletClientCertificateRenewalErrors", kubelet, "v1 Node worker-1"},
	{"KubeletServerCertificateRenewalErrors", kubelet, "v1 Node worker-1"},
	{"KubeletDown", series{"job": "kubelet", "metrics_path": "/metrics"}, "none"},
	{"KubeSchedulerDown", series{"job": "kube-scheduler"}, "none"},
	{"KubeControllerManagerDown", series{"job": "kube-controller-manager"}, "none"},
	{"KubeProxyDown", series{"job": "kube-proxy"}, "none"},

	// general, kube-state-metrics
	{"TargetDown", series{"job": "checkout", "namespace": "shop", "service": "checkout"}, "v1 Namespace shop"},
	{"TargetDown, node exporters", nodeExporter.by("cluster", "job", "namespace", "service"), "v1 Namespace monitoring"},
	{"Watchdog", series{}, "none"},
	{"KubeStateMetricsListErrors", series{}, "none"},
	{"KubeStateMetricsWatchErrors", series{"cluster": "eu-1"}, "none"},
	{"KubeStateMetricsShardingMismatch", series{}, "none"},
	{"KubeStateMetricsShardsMissing", series{}, "none"},

	// node-exporter
	{"NodeFilesystemSpaceFillingUp", nodeExporter.honored(filesystem), "none"},
	{"NodeFilesystemSpaceFillingUp, node attached", nodeExporterOnNode.honored(filesystem), "v1 Node worker-1"},
	{"NodeFilesystemAlmostOutOfSpace", nodeExporter.honored(filesystem), "none"},
	{"NodeFilesystemFilesFillingUp, node attached", nodeExporterOnNode.honored(filesystem), "v1 Node worker-1"},
	{"NodeFilesystemAlmostOutOfFiles", nodeExporter.honored(filesystem), "none"},
	{"NodeNetworkReceiveErrs", nodeExporter.honored(network), "none"},
	{"NodeNetworkTransmitErrs, node attached", nodeExporterOnNode.honored(network), "v1 Node worker-1"},
	{"NodeNetworkInterfaceFlapping", nodeExporter.honored(network), "none"},
	{"NodeHighNumberConntrackEntriesUsed", nodeExporter, "none"},
	{"NodeTextFileCollectorScrapeError", nodeExporter, "none"},
	{"NodeClockSkewDetected", nodeExporter, "none"},
	{"NodeClockNotSynchronising, node attached", nodeExporterOnNode, "v1 Node worker-1"},
	{"NodeRAIDDegraded", nodeExporter.honored(series{"device": "md0"}), "none"},
	{"NodeRAIDDiskFailure", nodeExporter.honored(series{"device": "md0", "state": "failed"}), "none"},
	{"NodeFileDescriptorLimit", nodeExporter, "none"},
	{"NodeCPUHighUsage", nodeExporter.without("cpu", "mode"), "none"},
	{"NodeSystemSaturation, node attached", nodeExporterOnNode, "v1 Node worker-1"},
	{"NodeMemoryHighUtilization", nodeExporter, "none"},
	{"NodeMemoryMajorPagesFaults", nodeExporter, "none"},
	{"NodeDiskIOSaturation", nodeExporter.honored(network), "none"},
	{"NodeSystemdServiceFailed", nodeExporter.honored(series{"name": "chronyd.service", "state": "failed", "type": "notify"}), "none"},
	{"NodeBondingDegraded", nodeExporter.honored(series{"master": "bond0"}), "none"},
	{"HostOutOfMemory, another job's name", nodeExporter.honored(series{"job": "integrations/node_exporter", "service": ""}), "none"},
	{"HostHighCpuLoad, by instance", nodeExporter.by("instance"), "none"},

	// etcd
	{"etcdMembersDown", etcd.without("endpoint", "instance", "pod"), "v1 Namespace kube-system"},
	{"etcdInsufficientMembers", etcd.without("instance", "pod"), "v1 Namespace kube-system"},
	{"etcdNoLeader", etcd, "v1 Pod kube-system/etcd-control-1"},
	{"etcdHighNumberOfLeaderChanges", etcd.without("instance", "pod"), "v1 Namespace kube-system"},
	{"etcdHighNumberOfFailedGRPCRequests", etcd.honored(series{"grpc_method": "Range", "grpc_service": "etcdserverpb.KV"}), "v1 Pod kube-system/etcd-control-1"},
	{"etcdGRPCRequestsSlow", etcd.honored(series{"grpc_method": "Range"}), "v1 Pod kube-system/etcd-control-1"},
	{"etcdMemberCommunicationSlow", etcd.honored(series{"To": "8e9e05c52164694d"}), "v1 Pod kube-system/etcd-control-1"},
	{"etcdHighNumberOfFailedProposals", etcd, "v1 Pod kube-system/etcd-control-1"},
	{"etcdHighFsyncDurations", etcd, "v1 Pod kube-system/etcd-control-1"},
	{"etcdHighCommitDurations", etcd, "v1 Pod kube-system/etcd-control-1"},
	{"etcdDatabaseQuotaLowSpace", etcd, "v1 Pod kube-system/etcd-control-1"},
	{"etcdExcessiveDatabaseGrowth", etcd, "v1 Pod kube-system/etcd-control-1"},
	{"etcdDatabaseHighFragmentationRatio", etcd, "v1 Pod kube-system/etcd-control-1"},

	// prometheus, alertmanager, operator
	{"PrometheusBadConfig", prometheus, "v1 Pod monitoring/prometheus-kps-prometheus-0"},
	{"PrometheusSDRefreshFailure", prometheus.honored(series{"mechanism": "kubernetes"}), "v1 Pod monitoring/prometheus-kps-prometheus-0"},
	{"PrometheusNotificationQueueRunningFull", prometheus, "v1 Pod monitoring/prometheus-kps-prometheus-0"},
	{"PrometheusErrorSendingAlertsToSomeAlertmanagers", prometheus.honored(series{"alertmanager": "http://10.244.2.9:9093/api/v2/alerts"}), "v1 Pod monitoring/prometheus-kps-prometheus-0"},
	{"PrometheusTSDBCompactionsFailing", prometheus, "v1 Pod monitoring/prometheus-kps-prometheus-0"},
	{"PrometheusNotIngestingSamples", prometheus.without("type"), "v1 Pod monitoring/prometheus-kps-prometheus-0"},
	{"PrometheusRemoteWriteBehind", prometheus.honored(series{"remote_name": "a1", "url": "https://mimir"}), "v1 Pod monitoring/prometheus-kps-prometheus-0"},
	{"PrometheusRuleFailures", prometheus.honored(series{"rule_group": "x"}), "v1 Pod monitoring/prometheus-kps-prometheus-0"},
	{"PrometheusTargetSyncFailure", prometheus.honored(series{"scrape_job": "x"}), "v1 Pod monitoring/prometheus-kps-prometheus-0"},
	{"PrometheusErrorSendingAlertsToAnyAlertmanager", prometheus.without("alertmanager"), "v1 Pod monitoring/prometheus-kps-prometheus-0"},
	{"AlertmanagerFailedReload", alertmanager, "v1 Pod monitoring/alertmanager-kps-alertmanager-0"},
	{"AlertmanagerMembersInconsistent", alertmanager, "v1 Pod monitoring/alertmanager-kps-alertmanager-0"},
	{"AlertmanagerFailedToSendAlerts", alertmanager.honored(series{"integration": "webhook"}), "v1 Pod monitoring/alertmanager-kps-alertmanager-0"},
	{"AlertmanagerClusterFailedToSendAlerts", alertmanager.honored(series{"integration": "webhook"}).by("namespace", "service", "integration"), "v1 Namespace monitoring"},
	{"AlertmanagerConfigInconsistent", alertmanager.by("namespace", "service"), "v1 Namespace monitoring"},
	{"AlertmanagerClusterDown", alertmanager.by("namespace", "service"), "v1 Namespace monitoring"},
	{"AlertmanagerClusterCrashlooping", alertmanager.by("namespace", "service"), "v1 Namespace monitoring"},
	{"PrometheusOperatorListErrors", operator.honored(series{"controller": "prometheus"}).by("cluster", "controller", "namespace"), "v1 Namespace monitoring"},
	{"PrometheusOperatorSyncFailed", operator.honored(series{"controller": "prometheus", "status": "failed"}), "v1 Pod monitoring/kps-operator-5b9cfc5f6c-qq2lm"},
	{"PrometheusOperatorRejectedResources", operator.honored(series{"resource": "ServiceMonitor", "state": "rejected"}), "v1 Pod monitoring/kps-operator-5b9cfc5f6c-qq2lm"},
	{"ConfigReloaderSidecarErrors", prometheus.honored(series{"container": "config-reloader", "endpoint": "reloader-web"}), "v1 Pod monitoring/prometheus-kps-prometheus-0"},

	// blackbox, coredns, cert-manager
	{"BlackboxProbeFailed, a Probe", blackboxProbe, "v1 Namespace shop"},
	{"BlackboxProbeFailed, the exporter's monitor", blackboxMonitor, "none"},
	{"BlackboxProbeFailed, a static scrape", series{"job": "blackbox-exporter", "instance": "https://shop.example"}, "none"},
	{"BlackboxSslCertificateWillExpireSoon", blackboxMonitor, "none"},
	{"BlackboxLowUptime30d", blackboxProbe, "v1 Namespace shop"},
	{"CoreDNSDown", series{"job": "coredns"}, "none"},
	{"CoreDNSErrorsHigh", coredns.by("namespace", "pod"), "v1 Pod kube-system/coredns-668d6bf9bc-8ngkq"},
	{"CoreDNSPanicCount", coredns, "v1 Pod kube-system/coredns-668d6bf9bc-8ngkq"},
	{"CertManagerCertNotReady, labels not honored", certManager.prefixed(series{"namespace": "shop", "name": "shop-tls", "condition": "False"}), "v1 Namespace shop"},
	{"CertManagerCertNotReady", certManager.prefixed(series{"namespace": "shop", "name": "shop-tls"}).by("name", "exported_namespace", "namespace"), "v1 Namespace shop"},
	{"CertManagerHittingRateLimits", certManager.honored(series{"host": "acme-v02.api.letsencrypt.org"}).by("host"), "none"},
}

func TestResourceOfKnownRules(t *testing.T) {
	for _, row := range ruleTable {
		t.Run(row.rule, func(t *testing.T) {
			// Every alert has these on top, and none may change the answer.
			labels := row.labels.honored(series{"alertname": "X", "severity": "warning", "prometheus": "monitoring/kps-prometheus"})
			if got := show(ResourceOf(labels)); got != row.want {
				t.Errorf("labels %v\ngot  %s\nwant %s", labels, got, row.want)
			}
		})
	}
}

func show(r gateway.Resource) string {
	switch {
	case r == gateway.Resource{}:
		return "none"
	case r.Namespace == "":
		return fmt.Sprintf("%s %s %s", r.APIVersion, r.Kind, r.Name)
	default:
		return fmt.Sprintf("%s %s %s/%s", r.APIVersion, r.Kind, r.Namespace, r.Name)
	}
}
