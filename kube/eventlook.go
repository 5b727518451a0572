package kube

import (
	"context"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/client-go/kubernetes"
)

const (
	// lookTimeout bounds all look-ups for one Event. What the API server does not
	// answer by then keeps nothing waiting.
	lookTimeout = time.Second
	// lookTTL is for how long what was found out of a Node or Deployment is
	// believed, which many Events at once are about.
	lookTTL = 2 * time.Second
)

// apiLooker looks up causes in the Kubernetes API.
type apiLooker struct {
	client kubernetes.Interface
	// known holds what was found out lately, by "node/NAME" or
	// "deployment/NAMESPACE/NAME": whether it drains, or is rolled out.
	known *cache.Expiring
}

func newEventLooker(client kubernetes.Interface) *apiLooker {
	return &apiLooker{client: client, known: cache.NewExpiring()}
}

// look implements eventLooker. Only what Events of pods, nodes and workloads may
// come from is looked up.
func (l *apiLooker) look(ctx context.Context, e *seenEvent) eventFacts {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	about := e.about
	switch about.Kind {
	case "Pod":
		return l.pod(ctx, e)
	case "Node":
		n := l.node(ctx, about.Name)
		return eventFacts{Draining: n.draining, Gone: n.gone}
	case "ReplicaSet":
		rs, err := l.client.AppsV1().ReplicaSets(about.Namespace).Get(ctx, about.Name, metav1.GetOptions{})
		if err != nil {
			return eventFacts{Gone: absent(err, about.Name)}
		}
		owner := metav1.GetControllerOf(rs)
		return eventFacts{RollingOut: owner != nil && owner.Kind == "Deployment" && l.rollsOut(ctx, about.Namespace, owner.Name)}
	case "Deployment":
		return eventFacts{RollingOut: l.rollsOut(ctx, about.Namespace, about.Name)}
	default:
		return eventFacts{}
	}
}

func (l *apiLooker) pod(ctx context.Context, e *seenEvent) eventFacts {
	about := e.about
	pod, err := l.client.CoreV1().Pods(about.Namespace).Get(ctx, about.Name, metav1.GetOptions{})
	if err != nil {
		// Of a pod that has gone its kubelet still tells where it was.
		gone := absent(err, about.Name)
		return eventFacts{Gone: gone, Draining: gone && l.node(ctx, e.node).draining}
	}
	facts := eventFacts{Gone: about.UID != "" && about.UID != pod.UID, Draining: l.node(ctx, pod.Spec.NodeName).draining}
	if name := deploymentOf(pod); name != "" {
		facts.RollingOut = l.rollsOut(ctx, pod.Namespace, name)
	}
	return facts
}

// deploymentOf returns the Deployment of a pod, empty for none. Its ReplicaSet
// is named after it and the hash that the pod's label has.
func deploymentOf(pod *corev1.Pod) string {
	owner := metav1.GetControllerOf(pod)
	hash := pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
	if owner == nil || owner.Kind != "ReplicaSet" || hash == "" {
		return ""
	}
	name, _ := strings.CutSuffix(owner.Name, "-"+hash)
	if name == owner.Name {
		return ""
	}
	return name
}

// nodeFacts are what is known of a node. Of one that has gone nobody can say
// whether it was drained before.
type nodeFacts struct{ draining, gone bool }

func (l *apiLooker) node(ctx context.Context, name string) nodeFacts {
	if name == "" {
		return nodeFacts{}
	}
	key := "node/" + name
	if known, ok := l.known.Get(key); ok {
		n, _ := known.(nodeFacts)
		return n
	}
	node, err := l.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	n := nodeFacts{gone: absent(err, name)}
	if err != nil && !n.gone {
		return n
	}
	n.draining = !n.gone && drains(node)
	l.known.Set(key, n, lookTTL)
	return n
}

// leavingTaints are those by which autoscalers say that a node is to go.
var leavingTaints = map[string]bool{
	"ToBeDeletedByClusterAutoscaler": true,
	"karpenter.sh/disrupted":         true,
}

func drains(node *corev1.Node) bool {
	if node.Spec.Unschedulable || node.DeletionTimestamp != nil {
		return true
	}
	for _, taint := range node.Spec.Taints {
		if leavingTaints[taint.Key] {
			return true
		}
	}
	return false
}

func (l *apiLooker) rollsOut(ctx context.Context, namespace, name string) bool {
	key := "deployment/" + namespace + "/" + name
	if known, ok := l.known.Get(key); ok {
		rolls, _ := known.(bool)
		return rolls
	}
	d, err := l.client.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return false
	}
	rolls := err == nil && rollsOut(d)
	l.known.Set(key, rolls, lookTTL)
	return rolls
}

// rollsOut reports whether a Deployment's controller is at work on its newest
// template. One whose rollout was completed is not, whatever has become of its
// pods since, nor one whose rollout failed.
func rollsOut(d *appsv1.Deployment) bool {
	if d.Status.ObservedGeneration == 0 {
		return false // no controller has looked at it
	}
	if d.Status.ObservedGeneration < d.Generation {
		return true
	}
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing {
			return c.Status == corev1.ConditionTrue && c.Reason != "NewReplicaSetAvailable"
		}
	}
	return false
}
