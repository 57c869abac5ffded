package livekit

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"usher/internal/platform"
)

var _ platform.Prober = (*Platform)(nil)

// Probe implements [platform.Prober]: the server is there if it answers where
// clients are sent. It is told nothing.
func (p *Platform) Probe(ctx context.Context) error {
	// http where clients use ws, https where they use wss.
	address := strings.Replace(p.url, "ws", "http", 1)
	if !strings.HasPrefix(p.url, "ws") {
		address = p.url
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // nothing in it is of interest
	if resp.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("it answered %s", resp.Status)
	}
	return nil
}
