// Package health asks what a server depends on whether it is well: its store,
// the platforms that it makes credentials for, the issuers whose tokens it
// takes.
//
// What is asked is asked rarely, and never for long: answers are kept for a
// while, all who want to know at the same time share one asking, and who does
// not answer in time is not well.
package health

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Timeout bounds how long one dependency may take to answer, and Keep is how
// long its answer is told again.
const (
	Timeout = 5 * time.Second
	Keep    = 15 * time.Second
)

// Kind is what sort of dependency it is.
type Kind string

// The kinds.
const (
	Store    Kind = "store"
	Platform Kind = "platform"
	Issuer   Kind = "issuer"
	Webhook  Kind = "webhook"
	// Certificate is what callers over HTTPS are shown.
	Certificate Kind = "certificate"
)

// State is how a dependency is.
type State string

// The states.
const (
	Well    State = "well"
	Failing State = "failing"
	// Silent is what can't be asked: it is configured, and that is all that there
	// is to know here.
	Silent State = "silent"
)

// Check is one dependency.
type Check struct {
	Kind Kind
	Name string
	// Ask returns why it is not well. An error that wraps [errors.ErrUnsupported]
	// says that there is nothing to ask; nil says the same.
	Ask func(ctx context.Context) error
}

// Result is what came of a check.
type Result struct {
	Kind    Kind
	Name    string
	State   State
	Message string // why it is failing; empty if it is not
	At      time.Time
	Took    time.Duration
}

// Checks asks dependencies. It is safe for concurrent use.
type Checks struct {
	now func() time.Time

	asking  chan struct{} // has a value while somebody asks
	mu      sync.Mutex
	checks  []Check
	results []Result
	at      time.Time
}

// New returns checks that have asked nobody yet.
func New(checks []Check, now func() time.Time) *Checks {
	return &Checks{checks: checks, now: now, asking: make(chan struct{}, 1)}
}

// Set puts other checks in the place of those before, which have asked nobody yet.
func (c *Checks) Set(checks []Check) {
	c.asking <- struct{}{} // nobody else asks
	defer func() { <-c.asking }()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checks, c.results = checks, nil
}

// Results returns how everything is, in the order of the checks. It asks if the
// last answers are too old, or waits for somebody who does.
func (c *Checks) Results(ctx context.Context) ([]Result, error) {
	select {
	case c.asking <- struct{}{}:
		defer func() { <-c.asking }()
	case <-ctx.Done():
		return nil, fmt.Errorf("health: %w", ctx.Err())
	}
	if results, ok := c.kept(); ok {
		return results, nil
	}
	// Others wait for the answers, too, so that they don't end with this caller.
	ctx = context.WithoutCancel(ctx)
	c.mu.Lock()
	checks := c.checks
	c.mu.Unlock()
	results := make([]Result, len(checks))
	var asking sync.WaitGroup
	for i, check := range checks {
		asking.Go(func() { results[i] = c.ask(ctx, check) })
	}
	asking.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.results, c.at = results, c.now()
	return results, nil
}

func (c *Checks) kept() ([]Result, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	age := c.now().Sub(c.at)
	return c.results, c.results != nil && 0 <= age && age < Keep
}

func (c *Checks) ask(ctx context.Context, check Check) Result {
	r := Result{Kind: check.Kind, Name: check.Name, State: Silent, At: c.now()}
	if check.Ask == nil {
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	// One that does not heed its context is not waited for.
	answer := make(chan error, 1)
	go func() { answer <- check.Ask(ctx) }()
	var err error
	select {
	case err = <-answer:
	case <-ctx.Done():
		err = fmt.Errorf("it did not answer within %s", Timeout)
	}
	r.Took = c.now().Sub(r.At)
	switch {
	case err == nil:
		r.State = Well
	case errors.Is(err, errors.ErrUnsupported):
	default:
		r.State, r.Message = Failing, err.Error()
	}
	return r
}
