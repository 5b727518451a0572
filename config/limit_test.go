package config_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"kubernaut.io/gateway/config"
)

func TestLimitsAreRead(t *testing.T) {
	c := mustParse(t, `
webhooks: {address: "127.0.0.1:1", trustedProxies: [10.1.0.0/16, 192.0.2.7, "fd00:1::/64", "::1"]}
sources:
- {name: a, format: alertmanager, rateLimit: {signalsPerSecond: 100, perClient: {signalsPerSecond: 2.5}}}
- {name: b, format: json, mapping: {name: a}, auth: [{none: {}}], rateLimit: {signalsPerSecond: 5, burst: 9, perClient: {signalsPerSecond: 5, burst: 50}}}
- {name: c, format: alertmanager, auth: [{none: {}}], rateLimit: {perClient: {signalsPerSecond: 7}}}
`)
	want := []netip.Prefix{
		netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("192.0.2.7/32"),
		netip.MustParsePrefix("fd00:1::/64"), netip.MustParsePrefix("::1/128"),
	}
	if got := c.Webhooks.Proxies(); !slices.Equal(got, want) {
		t.Errorf("trusted proxies %v, want %v", got, want)
	}
	type limit struct {
		perSecond float64
		burst     int
	}
	var got []limit
	for _, s := range c.Sources {
		perSecond, burst := s.RateLimit.Limit()
		got = append(got, limit{perSecond, burst})
		perSecond, burst = s.RateLimit.PerClient.Limit()
		got = append(got, limit{perSecond, burst})
	}
	if want := []limit{{100, 100}, {2.5, 3}, {5, 9}, {5, 50}, {0, 0}, {7, 7}}; !slices.Equal(got, want) {
		t.Errorf("limits %v, want %v", got, want)
	}
}

func TestLimitsAreChecked(t *testing.T) {
	file := mustFile(t, "tokens", "text")
	const source = "webhooks: {address: 127.0.0.1:1}\nsources: [{name: a, format: alertmanager, "
	for name, test := range map[string]struct{ text, want string }{
		"no rate": {
			source + "rateLimit: {signalsPerSecond: 2000000, perClient: {signalsPerSecond: -1, burst: -2}}}]",
			`line 2: sources[0].rateLimit.signalsPerSecond: 2e+06 is not from 0 to 1000000; 0 means no limit
line 2: sources[0].rateLimit.perClient.signalsPerSecond: -1 is not from 0 to 1000000; 0 means no limit
line 2: sources[0].rateLimit.perClient.burst: -2 is less than 0`,
		},
		"a burst of nothing": {
			source + "rateLimit: {perClient: {burst: 5}}}]",
			`line 2: sources[0].rateLimit.perClient.burst: 5 has no effect without signalsPerSecond`,
		},
		"beside credentials": {
			source + "auth: [{bearer: {tokenFile: F}}], rateLimit: {perClient: {signalsPerSecond: 5}}}]",
			`line 2: sources[0].rateLimit.perClient: it has no effect on a source with credentials, which are what its senders are known by; leave it out, or limit the source by signalsPerSecond`,
		},
		"more than all": {
			source + "rateLimit: {signalsPerSecond: 4, perClient: {signalsPerSecond: 5}}}]",
			`line 2: sources[0].rateLimit.perClient.signalsPerSecond: 5 is more than the source's own 4, so that it has no effect; write less`,
		},
		"an unknown key": {
			source + "rateLimit: {perclient: {}}}]",
			`line 2: sources[0].rateLimit.perclient: unknown key; did you mean perClient?`,
		},
		"proxies": {
			"webhooks: {address: 127.0.0.1:1, trustedProxies: [a, 10.0.0.1/8, 0.0.0.0/0, '::/0', '::ffff:10.0.0.1', 10.0.0.0/33, 'fe80::1%eth0', '']}",
			`line 1: webhooks.trustedProxies[0]: "a" is not a network; write one such as 10.1.0.0/16 or fd00:1::/64, or a proxy's address
line 1: webhooks.trustedProxies[1]: "10.0.0.1/8" is an address within a network; write 10.0.0.0/8 for the network, or 10.0.0.1 for the one proxy
line 1: webhooks.trustedProxies[2]: "0.0.0.0/0" is everyone, who then could name any client they like; write the networks of your proxies alone
line 1: webhooks.trustedProxies[3]: "::/0" is everyone, who then could name any client they like; write the networks of your proxies alone
line 1: webhooks.trustedProxies[4]: "::ffff:10.0.0.1" is IPv4 written as IPv6; write it as IPv4, such as 10.0.0.1
line 1: webhooks.trustedProxies[5]: "10.0.0.0/33" is not a network; write one such as 10.1.0.0/16 or fd00:1::/64, or a proxy's address
line 1: webhooks.trustedProxies[6]: "fe80::1%eth0" is not a network; write one such as 10.1.0.0/16 or fd00:1::/64, or a proxy's address
line 1: webhooks.trustedProxies[7]: "" is not a network; write one such as 10.1.0.0/16 or fd00:1::/64, or a proxy's address`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Parse([]byte(strings.ReplaceAll(test.text, "F}", file+"}")))
			if err == nil || err.Error() != test.want {
				t.Errorf("got\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}
