package alertmanager

import (
	"fmt"

	"kubernaut.io/gateway/adapter"
)

func badStatus(status string) error {
	if status == "" {
		return adapter.Wrong("status", "missing; want "+firing+" or "+resolved)
	}
	return adapter.Wrong("status", fmt.Sprintf("%q; want %s or %s", adapter.Clip(status), firing, resolved))
}
