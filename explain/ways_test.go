package explain_test

import (
	"context"
	"errors"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/explain"
)

// ways are those that are explained, by the names of their golden texts.
var ways = map[string]func(w *world) *explain.Case{
	"created": func(w *world) *explain.Case {
		return w.process(w.pipeline(), alert("cart-0"))
	},
	"created-stuck": func(w *world) *explain.Case {
		w.stand(alert("cart-0"), func(r *gateway.Request) {
			r.Phase, r.PhaseSince, r.Created = "Executing", noon.Add(-3*time.Hour), noon.Add(-4*time.Hour)
		})
		return w.process(w.pipeline(), alert("cart-0"))
	},
	"created-still-firing": func(w *world) *explain.Case {
		s := alert("cart-0")
		s.StartsAt = noon.Add(-2 * time.Hour)
		w.stand(s, func(r *gateway.Request) {
			r.Phase, r.CompletedAt, r.Attempt = gateway.PhaseCompleted, noon.Add(-20*time.Minute), 2
		})
		return w.process(w.pipeline(), s)
	},
	"created-guarded": func(w *world) *explain.Case {
		s := alert("coredns-0")
		s.Resource.Namespace = "kube-system"
		s.Labels["exported_namespace"] = "kube-system"
		w.mode = gateway.ModeManual
		return w.process(w.pipeline(), s)
	},
	"created-over-budget": func(w *world) *explain.Case {
		w.full = gateway.ScopeCluster
		return w.process(w.pipeline(), alert("cart-0"))
	},
	"created-over-seen-budget": func(w *world) *explain.Case {
		w.full = gateway.ScopeNamespace
		return w.process(w.pipeline(), alert("cart-0"))
	},
	"created-in-trouble": func(w *world) *explain.Case {
		w.ledger, w.namespaces, w.silent = errors.New("redis: connection refused"), errors.New("namespaces: timeout"), true
		return w.process(w.pipeline(), alert("cart-0"))
	},
	"created-by-policy": func(w *world) *explain.Case {
		return w.process(w.pipeline(policy(gateway.PolicyAnswer{
			Priority: gateway.P0, PriorityRule: "hours.rego:12", Path: gateway.Moderate, PathRule: "hours.rego:19",
			Reason: "business hours", Revision: "ab12",
		})), alert("cart-0"))
	},
	"created-drained": func(w *world) *explain.Case {
		p := w.pipeline(w.spools)
		w.now = noon.Add(40 * time.Minute)
		return w.drain(p, alert("cart-0"))
	},
	"created-reviewed": func(w *world) *explain.Case {
		w.silence = "night"
		p := w.pipeline()
		w.process(p, alert("cart-0"))
		w.now, w.silence = noon.Add(time.Hour), ""
		p.Review(w.tb.Context())
		return &w.last
	},
	"created-for-owner": func(w *world) *explain.Case {
		w.owned = gateway.Ownership{
			Owner: gateway.Resource{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "cart"}, From: gateway.OwnerRemembered,
		}
		return w.process(w.pipeline(), alert("cart-0"))
	},
	"duplicate": func(w *world) *explain.Case {
		w.stand(alert("cart-0"), nil)
		return w.process(w.pipeline(), alert("cart-0"))
	},
	"duplicate-cooldown": func(w *world) *explain.Case {
		w.stand(alert("cart-0"), func(r *gateway.Request) {
			r.Phase, r.CompletedAt = gateway.PhaseCompleted, noon.Add(-4*time.Minute)
		})
		w.memory.LastSeen = noon.Add(-30 * time.Second)
		return w.process(w.pipeline(), alert("cart-0"))
	},
	"duplicate-raced": func(w *world) *explain.Case {
		w.creates, w.change = []error{gateway.ErrStale}, func() { w.stand(alert("cart-0"), nil) }
		return w.process(w.pipeline(), alert("cart-0"))
	},
	"member-opened": func(w *world) *explain.Case {
		p := w.pipeline()
		w.process(p, alert("cart-0"))
		w.process(p, alert("cart-1"))
		return w.process(p, alert("cart-2"))
	},
	"member-joined": func(w *world) *explain.Case {
		p := w.pipeline()
		for _, pod := range []string{"cart-0", "cart-1", "cart-2"} {
			w.process(p, alert(pod))
		}
		s := alert("cart-3")
		w.now = noon.Add(20 * time.Second)
		s.ReceivedAt = w.now
		return w.process(p, s)
	},
	"member-of-pattern": func(w *world) *explain.Case {
		p := w.pipeline()
		for _, namespace := range []string{"a", "b", "c", "d", "e"} {
			s := alert("cart-0")
			s.Resource.Namespace = namespace
			w.process(p, s)
		}
		w.stand(alert("cart-0"), func(r *gateway.Request) { ends(r, 8*time.Minute) })
		return w.process(p, alert("cart-0"))
	},
	"resolved": func(w *world) *explain.Case {
		w.stand(alert("cart-0"), nil)
		return w.process(w.pipeline(), resolved(alert("cart-0")))
	},
	"resolved-nothing": func(w *world) *explain.Case {
		return w.process(w.pipeline(), resolved(alert("cart-0")))
	},
	"resolved-late-firing": func(w *world) *explain.Case {
		s := alert("cart-0")
		s.Normalize(identity)
		w.memory.Alert = gateway.Alert{Hash: s.Alert, StartsAt: began, ResolvedAt: noon.Add(-40 * time.Second)}
		return w.process(w.pipeline(), s)
	},
	"suppressed-name": func(w *world) *explain.Case {
		s := alert("cart-0")
		s.Name, s.Resource, s.Labels = "Watchdog", gateway.Resource{}, map[string]string{"alertname": "Watchdog", "team": "sre", "severity": "none"}
		return w.process(w.pipeline(), s)
	},
	"suppressed-silenced": func(w *world) *explain.Case {
		w.stand(alert("cart-0"), nil)
		w.silence = "configmap/night/batch"
		return w.process(w.pipeline(), alert("cart-0"))
	},
	"suppressed-off": func(w *world) *explain.Case {
		w.mode = gateway.ModeOff
		return w.process(w.pipeline(), alert("cart-0"))
	},
	"suppressed-shadow": func(w *world) *explain.Case {
		w.mode, w.creates = gateway.ModeShadow, []error{gateway.ErrHeld}
		return w.process(w.pipeline(), alert("cart-0"))
	},
	"suppressed-policy": func(w *world) *explain.Case {
		return w.process(w.pipeline(policy(gateway.PolicyAnswer{Suppress: true, Reason: "a test system", Revision: "ab12"})), alert("cart-0"))
	},
	"spooled": func(w *world) *explain.Case {
		w.creates = []error{errors.New("connection refused")}
		return w.process(w.pipeline(w.spools), alert("cart-0"))
	},
	"spooled-behind": func(w *world) *explain.Case {
		w.queued = true
		return w.process(w.pipeline(w.spools), alert("cart-0"))
	},
	"rejected-invalid": func(w *world) *explain.Case {
		s := alert("cart-0")
		s.Name, s.Labels = "", map[string]string{"namespace": "shop", "pod": "cart-0"}
		return w.process(w.pipeline(), s)
	},
	"rejected-refused": func(w *world) *explain.Case {
		w.creates = []error{gateway.ErrRefused}
		return w.process(w.pipeline(w.spools), alert("cart-0"))
	},
	"failed": func(w *world) *explain.Case {
		w.creates = []error{errors.New("connection refused")}
		return w.process(w.pipeline(), alert("cart-0"))
	},
	"failed-spool-full": func(w *world) *explain.Case {
		w.creates, w.spool = []error{errors.New("connection refused")}, gateway.ErrSpoolFull
		return w.process(w.pipeline(w.spools), alert("cart-0"))
	},
}

// policy gives the pipeline a policy that always says the same.
func policy(a gateway.PolicyAnswer) func(o *gateway.Options) {
	return func(o *gateway.Options) {
		r := rules
		r.Policy = always{&a}
		o.Rules = gateway.Fixed(r)
	}
}

type always struct{ answer *gateway.PolicyAnswer }

func (a always) Answer(_ context.Context, _ *gateway.PolicyInput) gateway.PolicyAnswer {
	return *a.answer
}
