package kube

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kubernaut.io/gateway/api/v1alpha1"
)

// codec reads RemediationRequests faster than client-go, which goes over each
// three times. Every create is read twice, as its answer and by the watch, so
// that reading is most of what a create costs the gateway itself.
type codec struct{ runtime.NegotiatedSerializer }

// DecoderToVersion implements runtime.NegotiatedSerializer.
func (c codec) DecoderToVersion(d runtime.Decoder, v runtime.GroupVersioner) runtime.Decoder {
	return quickDecoder{c.NegotiatedSerializer.DecoderToVersion(d, v)}
}

// quickDecoder reads single requests itself and leaves all else to client-go.
type quickDecoder struct{ runtime.Decoder }

// requestStart is how API servers begin a request.
var requestStart = fmt.Appendf(nil, `{"apiVersion":%q,"kind":%q,`, v1alpha1.GroupVersion, v1alpha1.Kind)

// lenient takes what client-go takes. Which fields a manager owns, half of an
// object's bytes, is nobody's concern here.
var lenient = json.JoinOptions(
	jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true),
	json.WithUnmarshalers(json.UnmarshalFromFunc(func(d *jsontext.Decoder, _ *metav1.FieldsV1) error { return d.SkipValue() })),
)

// Decode implements runtime.Decoder.
func (q quickDecoder) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	if _, ok := into.(*v1alpha1.RemediationRequest); !bytes.HasPrefix(data, requestStart) || into != nil && !ok {
		return q.Decoder.Decode(data, defaults, into)
	}
	rr := new(v1alpha1.RemediationRequest)
	if json.Unmarshal(data, rr, lenient) != nil {
		return q.Decoder.Decode(data, defaults, into)
	}
	rr.TypeMeta = metav1.TypeMeta{} // as client-go's decoders without conversion do
	kind := v1alpha1.GroupVersion.WithKind(v1alpha1.Kind)
	if given, ok := into.(*v1alpha1.RemediationRequest); ok {
		*given = *rr
		return given, &kind, nil
	}
	return rr, &kind, nil
}
