package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"kubernaut.io/gateway/test/redistest"
)

// redisStats is what a Redis server tells of itself, since its start.
type redisStats struct {
	// Calls counts scripts that were run and reads of a fingerprint's fields:
	// all that a ledger asks for.
	Calls int64
	// CPU is the time that it has had of all cores.
	CPU time.Duration
}

// lookAtRedis asks a server for its stats.
func lookAtRedis(ctx context.Context, s *redistest.Server) (redisStats, error) {
	var stats redisStats
	for _, section := range []string{"commandstats", "cpu"} {
		answer, err := s.Do(ctx, "INFO", section)
		if err != nil {
			return stats, err
		}
		text, err := answer.ToString()
		if err != nil {
			return stats, err
		}
		for line := range strings.Lines(text) {
			stats.read(strings.TrimSpace(line))
		}
	}
	return stats, nil
}

func (s *redisStats) read(line string) {
	var n int64
	var seconds float64
	for _, of := range []string{"cmdstat_evalsha:calls=%d,", "cmdstat_hmget:calls=%d,"} {
		if _, err := fmt.Sscanf(line, of, &n); err == nil {
			s.Calls += n
		}
	}
	for _, of := range []string{"used_cpu_user:%g", "used_cpu_sys:%g"} {
		if _, err := fmt.Sscanf(line, of, &seconds); err == nil {
			s.CPU += time.Duration(seconds * float64(time.Second))
		}
	}
}

func (s redisStats) since(before redisStats) redisStats {
	return redisStats{s.Calls - before.Calls, s.CPU - before.CPU}
}

// errNoRedis means that what is measured with Redis went on without it.
var errNoRedis = errors.New("redis was not asked")
