package janus

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"usher"
)

const (
	// callTimeout bounds whatever is asked of Janus, which answers from memory.
	callTimeout = 10 * time.Second
	// maxAnswer is how long an answer of Janus may be, in bytes: a list of
	// thousands of participants.
	maxAnswer = 1 << 20
)

// refusal is an answer of Janus that says no.
type refusal struct {
	Code   int    `json:"code"`
	Reason string `json:"reason"`
}

// codeUnauthorized is what Janus answers to a wrong secret or token.
const codeUnauthorized = 403

func (r *refusal) Error() string { return fmt.Sprintf("Janus answered %d, %.200q", r.Code, r.Reason) }

// admin asks the Admin API for something of VideoRoom and reads the answer into
// answer.
func (p *Platform) admin(ctx context.Context, request, answer any) error {
	transaction, err := p.transaction()
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{
		"janus": "message_plugin", "plugin": videoRoom, "request": request,
		"admin_secret": p.config.AdminSecret.Reveal(), "transaction": transaction,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	text, err := p.post(ctx, body)
	if err != nil {
		return err
	}
	var envelope struct {
		Janus       string          `json:"janus"`
		Transaction string          `json:"transaction"`
		Error       *refusal        `json:"error"`
		Response    json.RawMessage `json:"response"`
	}
	if err := json.Unmarshal(text, &envelope); err != nil || envelope.Transaction != transaction {
		return invalidAnswer(errors.New("it is none to what was asked; is this Janus's Admin API?"))
	}
	if envelope.Error != nil {
		return refused(envelope.Error)
	}
	return readPlugin(envelope.Response, answer)
}

func (p *Platform) post(ctx context.Context, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.config.AdminURL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.http.Do(req)
	if err != nil {
		return nil, unreachable(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, unreachable(err)
	case resp.StatusCode != http.StatusOK:
		return nil, invalidAnswer(fmt.Errorf("its status is %d; is this Janus's Admin API?", resp.StatusCode))
	case len(text) > maxAnswer:
		return nil, invalidAnswer(fmt.Errorf("it has more than %d bytes", maxAnswer))
	}
	return text, nil
}

// readPlugin reads what VideoRoom answered. What it refuses arrives as a success
// of Janus's.
func readPlugin(text json.RawMessage, answer any) error {
	var failed struct {
		Code   int    `json:"error_code"`
		Reason string `json:"error"`
	}
	if err := json.Unmarshal(text, &failed); err != nil {
		return invalidAnswer(errors.New("it is no JSON object"))
	}
	if failed.Code != 0 {
		return &refusal{failed.Code, failed.Reason}
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return invalidAnswer(errors.New("it is of another form than VideoRoom's"))
	}
	return nil
}

// transaction makes the name by which an answer is known to be ours.
func (p *Platform) transaction() (string, error) {
	var b [12]byte
	if _, err := io.ReadFull(p.random, b[:]); err != nil {
		return "", fmt.Errorf("make a transaction's name: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// unreachable is the failure of a call that brought no answer.
func unreachable(err error) error {
	// The address is the operator's and no business of a caller.
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	e := &usher.Error{Kind: usher.Upstream, Code: "janus_unreachable", Message: "Janus could not be reached; try again.", Err: err}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		e.Code, e.Message = "janus_timeout", "Janus did not answer in time; try again."
	}
	return e
}

// refused is the failure of a call that Janus understood and refused.
func refused(err error) error {
	return &usher.Error{Kind: usher.Upstream, Code: "janus_refused", Message: "Janus refused what was asked of it; the log says why.", Err: err}
}

// invalidAnswer is the failure of a call with an answer that can't be used.
func invalidAnswer(err error) error {
	return &usher.Error{Kind: usher.Upstream, Code: "janus_answer_invalid", Message: "Janus's answer could not be understood.", Err: err}
}

// isRefusal reports whether err is a refusal with one of the codes.
func isRefusal(err error, codes ...int) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && slices.Contains(codes, r.Code)
}
