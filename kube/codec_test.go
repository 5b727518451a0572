package kube

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	"kubernaut.io/gateway/api/v1alpha1"
)

// mustDecoders returns client-go's decoder and ours.
func mustDecoders(tb testing.TB) (slow, quick runtime.Decoder) {
	tb.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		tb.Fatal(err)
	}
	factory := serializer.NewCodecFactory(scheme).WithoutConversion()
	info, ok := runtime.SerializerInfoForMediaType(factory.SupportedMediaTypes(), runtime.ContentTypeJSON)
	if !ok {
		tb.Fatal("no JSON")
	}
	return factory.DecoderToVersion(info.Serializer, v1alpha1.GroupVersion),
		codec{factory}.DecoderToVersion(info.Serializer, v1alpha1.GroupVersion)
}

// mustEncode returns a request as API servers send it: with sorted names.
func mustEncode(tb testing.TB) []byte {
	tb.Helper()
	micro, at := metav1.NewMicroTime(time.UnixMicro(1234567890123456)), metav1.NewTime(time.Unix(1234567890, 0))
	rr := &v1alpha1.RemediationRequest{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.Kind},
		ObjectMeta: metav1.ObjectMeta{
			Name: "rr-1", Namespace: "kubernaut-system", ResourceVersion: "42", Generation: 1, CreationTimestamp: at, DeletionTimestamp: &at,
			Labels: map[string]string{"a": "b"}, Finalizers: []string{"f"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "gateway", Operation: metav1.ManagedFieldsOperationApply, Time: &at, Subresource: "status"}},
		},
		Spec: v1alpha1.RemediationRequestSpec{
			SignalName: "Ünïcode \"quoted\"", FiringTime: micro, ReceivedTime: micro, Sequence: 1, Attempt: 2, EventCount: 3,
			TargetResource: &v1alpha1.ResourceReference{Kind: "Pod", Name: "p"}, SignalLabels: map[string]string{"alertname": "A"},
			Storm: &v1alpha1.StormSpec{Kind: "rate", LedBy: []string{"x", "y"}},
		},
		Status: v1alpha1.RemediationRequestStatus{
			Deduplication: &v1alpha1.DeduplicationStatus{OccurrenceCount: 7, LastSeen: &micro, Alerts: []v1alpha1.AlertStatus{{Hash: "h", Start: &micro}}},
			OverallPhase:  "Processing", StartTime: &at, Conditions: []metav1.Condition{{Type: "Ready", LastTransitionTime: at}},
		},
	}
	u, err := runtime.DefaultUnstructuredConverter.ToUnstructured(rr)
	if err != nil {
		tb.Fatal(err)
	}
	data, err := json.Marshal(u)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func TestQuickDecoderReadsWhatClientGoReads(t *testing.T) {
	slow, quick := mustDecoders(t)
	data := mustEncode(t)
	want, wantKind, err := slow.Decode(data, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, into := range map[string]runtime.Object{"nothing": nil, "a request": new(v1alpha1.RemediationRequest)} {
		t.Run("into "+name, func(t *testing.T) {
			got, kind, err := quick.Decode(data, nil, into)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if *kind != *wantKind {
				t.Errorf("kind %v, want %v", kind, wantKind)
			}
		})
	}
}

func TestQuickDecoderLeavesTheRestToClientGo(t *testing.T) {
	_, quick := mustDecoders(t)
	status := []byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410}`)
	got, _, err := quick.Decode(status, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := got.(*metav1.Status); !ok || s.Reason != metav1.StatusReasonExpired || !apierrors.IsResourceExpired(apierrors.FromObject(s)) {
		t.Errorf("got %+v", got)
	}
	if got, _, err := quick.Decode(append(requestStart[:len(requestStart):len(requestStart)], `"spec":{"sequence":"one"}}`...), nil, nil); err == nil {
		t.Errorf("a request with a text for a number was read: %+v", got)
	}
}

func BenchmarkDecodeRequest(b *testing.B) {
	slow, quick := mustDecoders(b)
	data := mustEncode(b)
	for name, decoder := range map[string]runtime.Decoder{"client-go": slow, "quick": quick} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := decoder.Decode(data, nil, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
