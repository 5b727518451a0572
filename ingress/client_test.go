package ingress_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"kubernaut.io/gateway/ingress"
)

func proxies(networks ...string) ingress.Proxies {
	var all ingress.Proxies
	for _, n := range networks {
		all = append(all, netip.MustParsePrefix(n))
	}
	return all
}

func TestClient(t *testing.T) {
	trusted := proxies("10.0.0.0/8", "fd00::/8")
	const (
		for4  = "X-Forwarded-For"
		rfc   = "Forwarded"
		proxy = "10.0.0.1"
	)
	tests := map[string]struct {
		peer   string
		header http.Header
		want   string
	}{
		"no header":                          {proxy, nil, proxy},
		"who is not trusted is not heard":    {"203.0.113.9", http.Header{for4: {"198.51.100.1"}, rfc: {"for=198.51.100.1"}}, "203.0.113.9"},
		"one hop":                            {proxy, http.Header{for4: {"198.51.100.1"}}, "198.51.100.1"},
		"what the sender wrote before it":    {proxy, http.Header{for4: {"192.0.2.66, 198.51.100.1"}}, "198.51.100.1"},
		"a trusted address by the sender":    {proxy, http.Header{for4: {"10.9.9.9, 198.51.100.1"}}, "198.51.100.1"},
		"past trusted ones":                  {proxy, http.Header{for4: {"192.0.2.66, 198.51.100.1, 10.0.0.3,10.0.0.2"}}, "198.51.100.1"},
		"several lines":                      {proxy, http.Header{for4: {"192.0.2.66", "198.51.100.1", "10.0.0.2"}}, "198.51.100.1"},
		"trusted ones alone":                 {proxy, http.Header{for4: {"10.0.0.3, 10.0.0.2"}}, "10.0.0.3"},
		"with a port":                        {proxy, http.Header{for4: {"198.51.100.1:4711"}}, "198.51.100.1"},
		"IPv6":                               {proxy, http.Header{for4: {"2001:db8::1"}}, "2001:db8::1"},
		"IPv6 in brackets":                   {proxy, http.Header{for4: {"[2001:db8::1]"}}, "2001:db8::1"},
		"IPv6 with a port":                   {proxy, http.Header{for4: {"[2001:db8::1]:4711"}}, "2001:db8::1"},
		"IPv4 as IPv6":                       {"::ffff:10.0.0.1", http.Header{for4: {"::ffff:198.51.100.1"}}, "198.51.100.1"},
		"a zone is none of the address":      {"fd00::1%eth0", http.Header{for4: {"fe80::1%eth7"}}, "fe80::1"},
		"nothing":                            {proxy, http.Header{for4: {""}}, proxy},
		"empty entries":                      {proxy, http.Header{for4: {" , 198.51.100.1, ,"}}, "198.51.100.1"},
		"no address":                         {proxy, http.Header{for4: {"192.0.2.66, unknown"}}, proxy},
		"no address behind a trusted one":    {proxy, http.Header{for4: {"192.0.2.66, _x, 10.0.0.2"}}, "10.0.0.2"},
		"IPv4 in brackets":                   {proxy, http.Header{for4: {"[198.51.100.1]"}}, proxy},
		"too many hops":                      {proxy, http.Header{for4: {"198.51.100.1" + strings.Repeat(", 10.0.0.2", 32)}}, "10.0.0.2"},
		"as many as are followed":            {proxy, http.Header{for4: {"198.51.100.1" + strings.Repeat(", 10.0.0.2", 31)}}, "198.51.100.1"},
		"Forwarded":                          {proxy, http.Header{rfc: {"for=198.51.100.1;proto=https;by=10.0.0.1"}}, "198.51.100.1"},
		"Forwarded, as it is also written":   {proxy, http.Header{rfc: {`Proto=https; For="198.51.100.1:4711"`}}, "198.51.100.1"},
		"Forwarded with IPv6":                {proxy, http.Header{rfc: {`for="[2001:db8::1]:4711"`}}, "2001:db8::1"},
		"Forwarded past trusted ones":        {proxy, http.Header{rfc: {"for=192.0.2.66, for=198.51.100.1", "for=10.0.0.2"}}, "198.51.100.1"},
		"Forwarded without for":              {proxy, http.Header{rfc: {"for=192.0.2.66, proto=https"}}, proxy},
		"Forwarded with two for":             {proxy, http.Header{rfc: {"for=192.0.2.66;for=198.51.100.1"}}, proxy},
		"Forwarded, obfuscated":              {proxy, http.Header{rfc: {`for=192.0.2.66, for="_hidden"`}}, proxy},
		"Forwarded, separators in quotes":    {proxy, http.Header{rfc: {`for=192.0.2.66;x="a, for=192.0.2.67; \", for=192.0.2.68", for=198.51.100.1`}}, "198.51.100.1"},
		"Forwarded, a quote without an end":  {proxy, http.Header{rfc: {`for=192.0.2.66, for="198.51.100.1`}}, proxy},
		"Forwarded, what is added swallowed": {proxy, http.Header{rfc: {`for=192.0.2.66;x=", for=198.51.100.1`}}, proxy},
		"Forwarded, swallowed with a quote":  {proxy, http.Header{rfc: {`for=192.0.2.66;x=", for="198.51.100.1"`}}, proxy},
		"Forwarded, swallowed up to by":      {proxy, http.Header{rfc: {`for=192.0.2.66;x=", for=198.51.100.1;by="[fd00::1]:80"`}}, proxy},
		"both agree":                         {proxy, http.Header{for4: {"198.51.100.1"}, rfc: {"for=198.51.100.1"}}, "198.51.100.1"},
		"one of the two is forged":           {proxy, http.Header{for4: {"198.51.100.1"}, rfc: {"for=192.0.2.66"}}, proxy},
		"one of the two is empty":            {proxy, http.Header{for4: {"198.51.100.1"}, rfc: {""}}, proxy},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := trusted.Client(netip.MustParseAddr(test.peer), test.header); got.String() != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
	if got := proxies().Client(netip.Addr{}, nil); got.IsValid() {
		t.Errorf("no address became %s", got)
	}
}

// FuzzClient has a trusted proxy add an address to whatever a sender has written:
// that alone counts.
func FuzzClient(f *testing.F) {
	for _, seed := range []string{"", "192.0.2.66", "for=192.0.2.66", `for="`, `"`, "10.0.0.2", ",", `x="\`, `for=192.0.2.66;x="`, "for=10.0.0.2;for=10.0.0.3"} {
		f.Add(seed, seed)
	}
	trusted, peer := proxies("10.0.0.0/8"), netip.MustParseAddr("10.0.0.1")
	f.Fuzz(func(t *testing.T, first, second string) {
		const want = "198.51.100.1"
		for name, added := range map[string]string{"X-Forwarded-For": want, "Forwarded": "for=" + want} {
			// Another line cannot be reached into from the one before it, nor can an
			// entry of the same line, which a list of addresses has no quotes to hide in.
			header := http.Header{name: {first, second, added}}
			if got := trusted.Client(peer, header); got.String() != want {
				t.Errorf("%s: %s", name, got)
			}
		}
		if got := trusted.Client(peer, http.Header{"X-Forwarded-For": {first + ", " + want}}); got.String() != want {
			t.Errorf("added to the line: %s", got)
		}
		for _, added := range []string{"for=" + want, `for="` + want + `:80"`, "for=" + want + `;by="[fd00::1]:80";proto=http`} {
			// Quotes may reach into what is added, which then is lost, and no more.
			got := trusted.Client(peer, http.Header{"Forwarded": {first + ", " + added}})
			if got.String() != want && got != peer {
				t.Errorf("added to the line: %s", got)
			}
		}
		// Whatever it is, it is no crash, and for who is not trusted it is nothing.
		trusted.Client(peer, http.Header{"X-Forwarded-For": {first}, "Forwarded": {second}})
		if got := trusted.Client(netip.MustParseAddr(want), http.Header{"X-Forwarded-For": {first}, "Forwarded": {second}}); got.String() != want {
			t.Errorf("not trusted: %s", got)
		}
	})
}
