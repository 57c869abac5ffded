package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// healthTime is how long a server may take to say how it is.
const healthTime = 5 * time.Second

// healthCommand is `usher health`: what a container without a shell or curl
// asks its own server with.
type healthCommand struct {
	URL string `arg:"" optional:"" default:"http://127.0.0.1:8080/healthz" help:"What to ask (default: ${default}); /readyz says whether it should get traffic."`
}

// Run fails unless the answer is 200.
func (c healthCommand) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, nil)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	if req.URL.Host == "" || req.URL.Scheme != "http" && req.URL.Scheme != "https" {
		return errors.New("health: say what to ask as http://HOST:PORT/healthz")
	}
	// No proxy: a server asks itself, and an answer from elsewhere is none.
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("health: the server answered %s", resp.Status)
	}
	return nil
}
