package config

import (
	"fmt"
	"time"
)

// maxRequests bounds retention.maxRequests: beyond it the API server's lists
// take seconds, and what keeps more is a mistake.
const maxRequests = 100_000

// maxPolicyTimeout bounds policy.timeout: signals wait for it, and a sender for
// all signals of its request.
const maxPolicyTimeout = time.Second

// checkGuard checks what bounds the automation: guard, policy, approval, and for
// how long its requests are kept.
func (c *Config) checkGuard(k *checker) {
	for i, namespace := range c.Guard.Namespaces {
		k.label(fmt.Sprintf("guard.namespaces[%d]", i), namespace)
	}
	b := c.Guard.Budget
	for _, bound := range []struct {
		key string
		n   int
	}{{"owner", b.Owner}, {"namespace", b.Namespace}, {"cluster", b.Cluster}} {
		if bound.n < 0 {
			k.problem("guard.budget."+bound.key, "%d is less than 0; 0 means any number", bound.n)
		}
	}
	c.Policy.check(k)
	k.positive("approval.expiry", c.Approval.Expiry)
	k.positive("retention.finished", c.Retention.Finished)
	k.positive("retention.failed", c.Retention.Failed)
	if n := c.Retention.MaxRequests; n < 0 || n > maxRequests {
		k.problem("retention.maxRequests", "%d is not from 0, for any number, to %d", n, maxRequests)
	}
}

func (p *Policy) check(k *checker) {
	// Whether there is a policy at the path is seen when it is loaded: one that is
	// broken does not keep the gateway from serving.
	if p.Timeout <= 0 || p.Timeout > maxPolicyTimeout {
		k.problem("policy.timeout", "%v is not more than 0 and at most %v", p.Timeout, maxPolicyTimeout)
	}
	if _, err := time.LoadLocation(p.TimeZone); err != nil || p.TimeZone == "" {
		k.problem("policy.timeZone", "%q is no time zone; write one such as UTC or Europe/Berlin", p.TimeZone)
	}
}
