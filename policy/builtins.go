package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/types"
)

// What to use instead of a built-in that policies do not have.
const (
	insteadOfClock  = "use input.time, input.weekday, input.clock or input.date"
	insteadOfReach  = "put what it would get into data.json or data.yaml beside the policy"
	insteadOfBulk   = "its cost grows with a number, and it can't be stopped"
	insteadOfChance = "take a hash of the input, such as crypto.sha256(input.signal.name)"
)

// refused are the built-ins that policies do not have, and what to use instead.
// A name that ends in a dot stands for all that begin so. Beside these, whatever
// OPA says is not deterministic is left out too.
var refused = map[string]string{
	"time.now_ns":    insteadOfClock,
	"http.send":      insteadOfReach,
	"net.":           insteadOfReach,
	"opa.runtime":    insteadOfReach,
	"rand.":          insteadOfChance,
	"uuid.rfc4122":   insteadOfChance,
	"io.jwt.":        "a policy judges signals; credentials are checked before",
	"providers.aws.": insteadOfReach,
	// A certificate's and a schema's validity may depend on the clock and on
	// what is fetched.
	"crypto.x509.parse_and_verify_certificates":              insteadOfClock,
	"crypto.x509.parse_and_verify_certificates_with_options": insteadOfClock,
	// One call of these takes any amount of memory or time, for a number that may
	// be a sender's; a timeout only stops between two calls.
	"bits.lsh":                insteadOfBulk,
	"strings.render_template": insteadOfBulk,
	"json.match_schema":       "test the fields one by one",
	"json.verify_schema":      "test the fields one by one",
}

// answeredName is the built-in that says which rule was taken. No policy can
// call it: it is added to the rules after they were checked.
const answeredName = "internal.answered"

var answeredDecl = types.NewFunction(types.Args(types.N), types.B)

// capabilities are what rules may use; those that run have answered as well.
func capabilities(running bool) *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.AllowNet = []string{}
	c.Builtins = slices.DeleteFunc(c.Builtins, func(b *ast.Builtin) bool {
		_, no := refusal(b)
		return no
	})
	if running {
		c.Builtins = append(c.Builtins, &ast.Builtin{Name: answeredName, Decl: answeredDecl})
	}
	return c
}

// refusal reports whether policies do not have b, and what to use instead.
func refusal(b *ast.Builtin) (instead string, no bool) {
	if instead, no := refused[b.Name]; no {
		return instead, true
	}
	for prefix, instead := range refused {
		if strings.HasSuffix(prefix, ".") && strings.HasPrefix(b.Name, prefix) {
			return instead, true
		}
	}
	if b.IsNondeterministic() {
		return insteadOfReach, true
	}
	return "", false
}

// refusals are all built-ins that policies do not have, by name.
var refusals = func() map[string]string {
	all := map[string]string{answeredName: "it is the gateway's own"}
	for _, b := range ast.CapabilitiesForThisVersion().Builtins {
		if instead, no := refusal(b); no {
			all[b.Name] = instead
		}
	}
	return all
}()

// checkBuiltins returns a problem for each use of a built-in that policies do not
// have, as a call or as the replacement in a with.
func checkBuiltins(m *ast.Module) Problems {
	var found Problems
	ast.WalkRefs(m, func(r ast.Ref) bool {
		if len(r) == 1 {
			return false
		}
		name := r.String()
		if instead, no := refusals[name]; no {
			found = append(found, Problem{location(r[0].Location), fmt.Sprintf("policies do not have %s: %s", name, instead)})
		}
		return false
	})
	return found
}

// recording is where answered notes what was taken.
type recording struct{ taken []int }

type recordingKey struct{}

// answered makes a query know the built-in that notes the rule which was taken,
// in the recording of the evaluation's context.
func answered() func(*rego.Rego) {
	return rego.Function1(&rego.Function{Name: answeredName, Decl: answeredDecl},
		func(c rego.BuiltinContext, rule *ast.Term) (*ast.Term, error) {
			if r, ok := c.Context.Value(recordingKey{}).(*recording); ok {
				n, _ := rule.Value.(ast.Number).Int()
				r.taken = append(r.taken, n)
			}
			return ast.InternedTerm(true), nil
		})
}

// announce makes each rule of m that gives an output end in a call of answered,
// with the number that it has in rules. It changes m.
func announce(m *ast.Module, rules []outputRule) []outputRule {
	for _, head := range m.Rules {
		output, ok := outputOf(head)
		if !ok || head.Default {
			continue
		}
		for r := head; r != nil; r = r.Else {
			// ast.IntNumberTerm returns a term that all compilers share, which has no place.
			call := ast.NewExpr([]*ast.Term{
				ast.NewTerm(ast.Ref{ast.VarTerm("internal"), ast.StringTerm("answered")}).SetLocation(r.Location),
				ast.NewTerm(ast.Number(strconv.Itoa(len(rules)))).SetLocation(r.Location),
			}).SetLocation(r.Location)
			r.Body.Append(call)
			rules = append(rules, outputRule{output, location(r.Location)})
		}
	}
	return rules
}

// fault says why an evaluation failed.
func fault(err error) (cause, why string) {
	if topdown.IsCancel(err) {
		return CauseTimeout, "it was still being evaluated"
	}
	return causeOf(err), strings.ReplaceAll(err.Error(), "\n", " ")
}
