package access

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"usher"
	"usher/internal/store"
)

// Idempotency keys are remembered for idempotencyWindow; marks are swept in
// steps small enough that they never hold up a join.
const (
	idempotencyWindow = 24 * time.Hour
	maxIdempotencyKey = 255
	markSweepEvery    = time.Minute
	markSweepBatch    = 500
)

// chosen is what a create that can be repeated is made with. Its zero value
// leaves the choice to the create.
type chosen struct {
	id     usher.ID
	secret usher.Secret
}

// once chooses the id and secret of a create, so that whoever sends the same
// key again gets the same thing, also after a crash between choosing and
// creating. The secret is derived from our own key and never stored.
func (a *Access) once(ctx context.Context, caller usher.Identity, what, key string, request any) (chosen, error) {
	if key == "" {
		return chosen{}, nil
	}
	if len(key) > maxIdempotencyKey {
		return chosen{}, usher.Errorf(usher.Invalid, "idempotency_key_invalid", "The Idempotency-Key has more than %d characters.", maxIdempotencyKey)
	}
	body, err := json.Marshal(request)
	if err != nil {
		return chosen{}, fmt.Errorf("access: idempotency: %w", err)
	}
	digest := sha256.Sum256(body)
	type choice struct {
		Request string   `json:"request"`
		ID      usher.ID `json:"id"`
	}
	mine := choice{Request: hex.EncodeToString(digest[:]), ID: a.config.IDs.New()}
	value, err := json.Marshal(mine)
	if err != nil {
		return chosen{}, fmt.Errorf("access: idempotency: %w", err)
	}
	name := a.config.Derive("idempotency", caller.App, caller.Key(), what, key)
	mark := store.Mark{Name: "idempotency:" + hex.EncodeToString(name[:]), Value: value, Expires: a.config.Now().Add(idempotencyWindow)}
	earlier, err := a.config.Store.Once().Put(ctx, a.config.Now(), mark)
	switch {
	case errors.Is(err, store.ErrExists):
		theirs := choice{}
		if err := json.Unmarshal(earlier.Value, &theirs); err != nil {
			return chosen{}, fmt.Errorf("access: idempotency: %w", err)
		}
		if theirs.Request != mine.Request {
			return chosen{}, usher.Errorf(usher.Conflict, "idempotency_key_reused", "The Idempotency-Key was used before, with another request.")
		}
		mine = theirs
	case err != nil:
		return chosen{}, fmt.Errorf("access: idempotency: %w", err)
	}
	secret := a.config.Derive("idempotent secret", mark.Name, string(mine.ID))
	return chosen{id: mine.ID, secret: usher.Secret(base64.RawURLEncoding.EncodeToString(secret[:]))}, nil
}

// sweepMarks forgets expired marks until ctx ends.
func (a *Access) sweepMarks(ctx context.Context) {
	tick := time.NewTicker(markSweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := a.forgetMarks(ctx); err != nil && ctx.Err() == nil {
			a.config.Logger.Error("forgetting expired marks failed; it is tried again", "error", err)
		}
	}
}

func (a *Access) forgetMarks(ctx context.Context) error {
	for {
		n, err := a.config.Store.Once().Sweep(ctx, a.config.Now(), markSweepBatch)
		if err != nil || n < markSweepBatch {
			return err
		}
	}
}
