package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
)

// unaudited reads which part of a gateway's audit lines it has dropped.
func (p *process) unaudited(ctx context.Context) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var written, dropped float64
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		var why string
		var n float64
		if _, err := fmt.Sscanf(lines.Text(), "gateway_audit_lines_total %g", &n); err == nil {
			written = n
		}
		if _, err := fmt.Sscanf(lines.Text(), "gateway_audit_dropped_total{why=%q} %g", &why, &n); err == nil {
			dropped += n
		}
	}
	if written == 0 {
		return 0, errors.New("no lines of an audit log among the metrics")
	}
	return dropped / (written + dropped), lines.Err()
}
