package auth

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"

	"kubernaut.io/gateway/ingress"
)

const (
	// maxUsers bounds a file of users.
	maxUsers = 1000
	// maxCost bounds what one comparison takes: about a second.
	maxCost = 14
	// comparedFor is for how long a good password is not compared again. What is
	// remembered goes with its line in the file, whenever that changes.
	comparedFor = 10 * time.Minute
	// maxUserBytes and maxPasswordBytes bound what is looked at. Of a password
	// bcrypt takes 72 bytes.
	maxUserBytes, maxPasswordBytes = 256, 1024
)

// ComparesAtOnce is how many passwords are compared at once, of those known and
// those unknown: each keeps a processor busy for as long as its hash costs.
const ComparesAtOnce = 2

// Basic lets in who has a user's password, by an htpasswd file.
type Basic struct {
	*file[users]
	worker *worker
}

// users are those of a file, and their hashes in its order.
type users struct {
	byName map[string]string
	hashes []string
}

// NewBasic reads a file of users, as `htpasswd -B` writes it. All that compare
// passwords share the slots.
func NewBasic(usersFile string, slots *Slots) (*Basic, error) {
	if slots == nil {
		return nil, errors.New("auth: basic: no slots")
	}
	f, err := open(usersFile, parseUsers)
	return &Basic{file: f, worker: newWorker(slots)}, err
}

func parseUsers(data []byte) (users, error) {
	all := users{byName: make(map[string]string)}
	_, err := lines(data, func(_ int, line string) error {
		if line[0] == '#' {
			return nil
		}
		name, hash, found := strings.Cut(line, ":")
		_, twice := all.byName[name]
		switch {
		case !found || name == "":
			return errors.New("this is no user; write USER:HASH, as does: htpasswd -nB USER")
		case len(name) > maxUserBytes:
			return fmt.Errorf("the user's name is longer than %d bytes", maxUserBytes)
		case twice:
			return fmt.Errorf("user %q is there already", name)
		case len(all.hashes) == maxUsers:
			return fmt.Errorf("there are more than %d users", maxUsers)
		}
		if err := checkHash(hash); err != nil {
			return fmt.Errorf("user %q: %w", name, err)
		}
		all.byName[name] = hash
		all.hashes = append(all.hashes, hash)
		return nil
	})
	if err == nil && len(all.hashes) == 0 {
		err = errEmpty
	}
	return all, err
}

var bcryptHash = regexp.MustCompile(`^\$2[aby]\$(\d\d)\$[./0-9A-Za-z]{53}$`)

// otherHashes are what htpasswd and others write besides, by how they begin.
var otherHashes = []struct{ prefix, name string }{
	{"$apr1$", "MD5 (apr1)"},
	{"$1$", "MD5 (crypt)"},
	{"$5$", "SHA-256 (crypt)"},
	{"$6$", "SHA-512 (crypt)"},
	{"$y$", "yescrypt"},
	{"$argon2", "Argon2"},
	{"$2x$", "bcrypt of a version with a flaw (2x)"},
	{"{SHA}", "SHA-1"},
	{"{SSHA}", "salted SHA-1"},
}

func checkHash(hash string) error {
	const fix = "make it with: htpasswd -nB USER"
	if m := bcryptHash.FindStringSubmatch(hash); m != nil {
		if cost, _ := strconv.Atoi(m[1]); cost < bcrypt.MinCost || cost > maxCost {
			return fmt.Errorf("a cost of %d is not from %d to %d; make the hash with: htpasswd -nB -C 10 USER", cost, bcrypt.MinCost, maxCost)
		}
		return nil
	}
	for _, other := range otherHashes {
		if strings.HasPrefix(hash, other.prefix) {
			return fmt.Errorf("the hash is %s, and bcrypt alone is taken; %s", other.name, fix)
		}
	}
	return fmt.Errorf("there is no bcrypt hash, it may be crypt or plain text; %s", fix)
}

// Kind implements Method.
func (*Basic) Kind() Kind { return KindBasic }

func (b *Basic) authenticate(r *http.Request) error {
	if _, ok := authorization(r, "Basic"); !ok {
		return &failure{kind: KindBasic, reason: Missing}
	}
	user, password, ok := r.BasicAuth()
	if !ok || len(user) > maxUserBytes || len(password) > maxPasswordBytes {
		return &failure{kind: KindBasic, reason: Malformed}
	}
	hash, known := b.hashOf(user)
	key := b.worker.digest(user, password, hash)
	v := b.worker.check(r.Context(), key, func(context.Context) (verdict, time.Duration) {
		err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password))
		if err != nil || !known {
			return verdict{failed: &failure{kind: KindBasic, reason: Wrong}}, 0
		}
		return verdict{who: user}, comparedFor
	})
	if v.failed != nil {
		return &failure{kind: KindBasic, reason: v.failed.reason, cause: v.failed.cause}
	}
	ingress.Identify(r, v.who)
	return nil
}

// hashOf returns a user's hash. Who is no user gets somebody else's, always the
// same, so that it takes as long to be refused, whatever the hashes cost.
func (b *Basic) hashOf(user string) (hash string, known bool) {
	all := b.get()
	if hash, known = all.byName[user]; known {
		return hash, true
	}
	d := b.worker.digest(user)
	return all.hashes[binary.BigEndian.Uint64(d[:])%uint64(len(all.hashes))], false
}

func (*Basic) challenge() string { return "Basic " + realm + `, charset="UTF-8"` }
