package redisledger

import (
	"context"
	"crypto/sha1"
	_ "embed" // for the scripts
	"encoding/hex"

	"github.com/redis/rueidis"
)

var (
	//go:embed count.lua
	countLua string
	//go:embed remember.lua
	rememberLua string
	//go:embed enter.lua
	enterLua string
	//go:embed leave.lua
	leaveLua string
	//go:embed book.lua
	bookLua string

	countScript    = newScript(countLua)
	rememberScript = newScript(rememberLua)
	enterScript    = newScript(enterLua)
	leaveScript    = newScript(leaveLua)
	bookScript     = newScript(bookLua)
)

// script is a Lua script of one key.
type script struct{ text, sha string }

func newScript(text string) *script {
	sum := sha1.Sum([]byte(text)) // what Redis names scripts by
	return &script{text: text, sha: hex.EncodeToString(sum[:])}
}

// call is one run of a script.
type call struct {
	key  string
	args []string
}

// run runs s for each of calls in one round trip and returns the answers in
// their order. Servers that do not know the script are sent it in another one:
// unlike rueidis' Lua.ExecMulti, which sends it to every node each time.
func (s *script) run(ctx context.Context, client rueidis.Client, calls ...call) []rueidis.RedisResult {
	commands := make(rueidis.Commands, len(calls))
	for i, c := range calls {
		commands[i] = client.B().Evalsha().Sha1(s.sha).Numkeys(1).Key(c.key).Arg(c.args...).Build()
	}
	results := client.DoMulti(ctx, commands...)

	var unknown []int
	commands = commands[:0]
	for i := range results {
		if err, ok := rueidis.IsRedisErr(results[i].Error()); ok && err.IsNoScript() {
			unknown = append(unknown, i)
			commands = append(commands, client.B().Eval().Script(s.text).Numkeys(1).Key(calls[i].key).Arg(calls[i].args...).Build())
		}
	}
	if len(unknown) == 0 {
		return results
	}
	for i, result := range client.DoMulti(ctx, commands...) {
		results[unknown[i]] = result
	}
	return results
}
