package config

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

func (c *Config) checkRedis(k *checker) {
	r := &c.Redis
	for i, address := range r.Addresses {
		host, port, err := net.SplitHostPort(address)
		if _, number := strconv.ParseUint(port, 10, 16); err != nil || host == "" || number != nil {
			k.problem(fmt.Sprintf("redis.addresses[%d]", i), "%q is not an address; write host:port, such as redis:6379", address)
		}
	}
	if r.KeyPrefix == "" || len(r.KeyPrefix) > 64 || strings.ContainsAny(r.KeyPrefix, "{} \t\n") {
		k.problem("redis.keyPrefix", "%q is not a prefix; write 1 to 64 characters without braces and space", r.KeyPrefix)
	}
	k.file("redis.passwordFile", r.PasswordFile)
	k.file("redis.sentinel.passwordFile", r.Sentinel.PasswordFile)
	k.file("redis.tls.caFile", r.TLS.CAFile)
	k.file("redis.tls.certFile", r.TLS.CertFile)
	k.file("redis.tls.keyFile", r.TLS.KeyFile)
	if (r.TLS.CertFile == "") != (r.TLS.KeyFile == "") {
		k.problem("redis.tls", "a certificate needs its key; write both certFile and keyFile, or none of them")
	}
	if t := r.TLS; !t.Enabled && t != (RedisTLS{}) {
		k.problem("redis.tls.enabled", "the other keys of redis.tls have no effect without enabled: true")
	}
	if r.MasterName == "" && r.Sentinel != (RedisSentinel{}) {
		k.problem("redis.sentinel", "it has no effect without redis.masterName, the name by which the Sentinels know the master")
	}
	r.checkUnused(k)
}

// checkUnused names what was written for a Redis that nothing leads to.
func (r *Redis) checkUnused(k *checker) {
	if len(r.Addresses) > 0 {
		return
	}
	for _, key := range []struct {
		path string
		set  bool
	}{
		{"redis.masterName", r.MasterName != ""},
		{"redis.username", r.Username != ""},
		{"redis.passwordFile", r.PasswordFile != ""},
		{"redis.tls.enabled", r.TLS.Enabled},
	} {
		if key.set {
			k.problem(key.path, "it has no effect without redis.addresses; write the addresses, or leave redis out and run one replica")
		}
	}
}

// store checks where something is kept, and how much of it.
func (k *checker) store(path, dir string, maxBytes int64) {
	if maxBytes <= 0 {
		k.problem(path+".maxBytes", "%d is not more than 0", maxBytes)
	}
	if dir == "" {
		return
	}
	// One that is not there yet is made at the start.
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		k.problem(path+".dir", "%s is not a directory", dir)
	}
}

// file checks a file that need not be named.
func (k *checker) file(path, name string) {
	if name != "" {
		k.readable(path, name)
	}
}
