package janus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"usher/internal/platform"
)

var _ platform.Prober = (*Platform)(nil)

// Probe implements [platform.Prober]. It opens sessions, which it ends again, and
// asks the Admin API for a sign of life; [Platform.Doctor] looks at more.
func (p *Platform) Probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var errs []error
	asked := false
	for _, session := range []struct{ name, address string }{{"pluginURL", p.config.PluginURL}, {"apiURL", p.config.APIURL}} {
		if session.address == "" {
			continue
		}
		asked = true
		c, err := p.connect(ctx, session.address, p.ownProof())
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %s", session.name, explain(err)))
			continue
		}
		c.close(ctx)
	}
	if p.config.AdminURL != "" {
		asked = true
		if err := p.ping(ctx); err != nil {
			errs = append(errs, fmt.Errorf("adminURL: %s", explain(err)))
		}
	}
	if !asked {
		return fmt.Errorf("janus: no address of it is configured: %w", errors.ErrUnsupported)
	}
	return errors.Join(errs...)
}

// ping asks the Admin API whether it takes our secret.
func (p *Platform) ping(ctx context.Context) error {
	transaction, err := p.transaction()
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"janus": "get_status", "admin_secret": p.config.AdminSecret.Reveal(), "transaction": transaction})
	if err != nil {
		return err
	}
	text, err := p.post(ctx, body)
	if err != nil {
		return err
	}
	var answer struct {
		Transaction string   `json:"transaction"`
		Error       *refusal `json:"error"`
	}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Transaction != transaction {
		return invalidAnswer(errors.New("it is none to what was asked; is this Janus's Admin API?"))
	}
	if answer.Error != nil {
		return refused(answer.Error)
	}
	return nil
}
