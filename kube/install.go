package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"kubernaut.io/gateway/api/v1alpha1"
)

// installer is the field manager of what Install applies.
const installer = "gateway-install"

// installTimeout bounds how long the API server may take to serve a new
// CustomResourceDefinition.
const installTimeout = 30 * time.Second

// Install makes the namespace and the CustomResourceDefinition of
// RemediationRequest what this version of the gateway needs, and waits until
// the API server serves it. It may be repeated.
func Install(ctx context.Context, config *rest.Config, namespace string) error {
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("install: %w", err)
	}
	crds, err := apiextensions.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("install: %w", err)
	}
	manager := metav1.ApplyOptions{FieldManager: installer, Force: true}
	if _, err := core.CoreV1().Namespaces().Apply(ctx, corev1.Namespace(namespace), manager); err != nil {
		return fmt.Errorf("install namespace %s: %w", namespace, err)
	}
	name := v1alpha1.Resource + "." + v1alpha1.GroupVersion.Group
	client := crds.ApiextensionsV1().CustomResourceDefinitions()
	force := true
	if _, err := client.Patch(ctx, name, types.ApplyPatchType, v1alpha1.CRD, metav1.PatchOptions{FieldManager: installer, Force: &force}); err != nil {
		return fmt.Errorf("install %s: %w", name, err)
	}
	err = wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		crd, err := client.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return established(crd) && served(ctx, core, namespace), nil
	})
	if err != nil {
		return fmt.Errorf("install %s: not served: %w", name, err)
	}
	return nil
}

func established(crd *apiextensionsv1.CustomResourceDefinition) bool {
	for _, c := range crd.Status.Conditions {
		if c.Type == apiextensionsv1.Established {
			return c.Status == apiextensionsv1.ConditionTrue
		}
	}
	return false
}

// served reports whether the resource can be listed, which may come a moment
// after it is established.
func served(ctx context.Context, core kubernetes.Interface, namespace string) bool {
	path := fmt.Sprintf("/apis/%s/namespaces/%s/%s", v1alpha1.GroupVersion, namespace, v1alpha1.Resource)
	err := core.Discovery().RESTClient().Get().AbsPath(path).Param("limit", "1").Do(ctx).Error()
	return err == nil || !apierrors.IsNotFound(err) && !errors.Is(err, context.DeadlineExceeded)
}
