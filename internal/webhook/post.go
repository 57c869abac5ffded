package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"usher"
	"usher/internal/access"
)

// message is the body of a post.
type message struct {
	Type usher.EventType `json:"type"`
	// Timestamp is when it happened.
	Timestamp time.Time `json:"timestamp"`
	// Sequence grows from event to event, as the record has them, and Cursor is
	// where the record is read on from to come to what follows.
	Sequence int64           `json:"sequence"`
	Cursor   access.Position `json:"cursor"`
	Data     any             `json:"data"`
}

// refusal is an answer that does not take an event.
type refusal struct {
	status int
	after  time.Duration // to be left alone for so long
}

func (r *refusal) Error() string {
	switch {
	case 300 <= r.status && r.status < 400:
		return fmt.Sprintf("it answered %d: redirects are not followed", r.status)
	default:
		return fmt.Sprintf("it answered %d", r.status)
	}
}

// maxAnswer is how much of an answer is read, so that the connection can be used
// again.
const maxAnswer = 64 << 10

// postOne posts one event. The error says nothing of the URL.
func (t *target) postOne(ctx context.Context, e access.Entry) error {
	err := t.try(ctx, e)
	result := "ok"
	if err != nil {
		result = "failed"
	}
	t.metrics.deliveries.WithLabelValues(t.config.Name, result).Inc()
	return err
}

func (t *target) try(ctx context.Context, e access.Entry) error {
	body, err := json.Marshal(message{
		Type: e.Type, Timestamp: e.Time(), Sequence: e.At.Sequence(), Cursor: e.Next, Data: t.Encode(e.Event),
	})
	if err != nil {
		return fmt.Errorf("write an event: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, t.config.timeout())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.config.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("the URL can't be read")
	}
	now := t.Now()
	id := string(e.ID)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "usher/"+t.Version)
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("Webhook-Signature", sign(t.keys, id, now.Unix(), body))
	res, err := t.http.Do(req)
	if err != nil {
		if at, ok := errors.AsType[*url.Error](err); ok {
			err = at.Err
		}
		return err
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer))
	if 200 <= res.StatusCode && res.StatusCode < 300 {
		return nil
	}
	return &refusal{res.StatusCode, retryAfter(res.Header.Get("Retry-After"), now)}
}

// retryAfter reads the header of that name: seconds, or a date (RFC 9110, section
// 10.2.3). What can't be read is no wish.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
