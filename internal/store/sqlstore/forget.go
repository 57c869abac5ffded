package sqlstore

import (
	"context"
	"time"

	"usher"
	"usher/internal/store"
)

// forgetStep bounds how many participants one write deletes.
const forgetStep = 500

const selectEndedRooms = "SELECT app, id FROM rooms WHERE status = 'ended' AND ended_at < $1 ORDER BY ended_at LIMIT $2"

// forgetSteps are taken one after the other, each until nothing is left of it:
// what can be much goes bit by bit, so that nobody waits long.
var forgetSteps = []struct {
	text string
	most int64
}{
	{"DELETE FROM participants WHERE app = $1 AND room = $2 AND id IN" +
		" (SELECT id FROM participants WHERE app = $1 AND room = $2 LIMIT $3)", forgetStep},
	{"DELETE FROM document_log WHERE app = $1 AND room = $2 AND last IN" +
		" (SELECT last FROM document_log WHERE app = $1 AND room = $2 LIMIT $3)", compactStep},
	{"DELETE FROM document_parts WHERE app = $1 AND room = $2 AND (snapshot, part) IN" +
		" (SELECT snapshot, part FROM document_parts WHERE app = $1 AND room = $2 LIMIT $3)", compactStep},
}

// forgetRest is what is left then, the room at the end.
var forgetRest = []string{
	"DELETE FROM documents WHERE app = $1 AND room = $2",
	"DELETE FROM members WHERE app = $1 AND room = $2",
	"DELETE FROM invites WHERE app = $1 AND room = $2",
	"DELETE FROM rooms WHERE app = $1 AND id = $2",
}

func (s rooms) Ended(ctx context.Context, before time.Time, n int) ([]usher.RoomKey, error) {
	return all(ctx, s.db.reader, roomKeyFields, selectEndedRooms, before.UnixMicro(), limit(n))
}

func (s rooms) Forget(ctx context.Context, key usher.RoomKey) error {
	for _, step := range forgetSteps {
		for {
			n, err := write(ctx, s.db.writer, func(t *tx) (int, error) {
				if err := wantEnded(t, key); err != nil {
					return 0, err
				}
				return t.affect(step.text, key.App, string(key.ID), step.most)
			})
			if err != nil {
				return err
			}
			if int64(n) < step.most {
				break
			}
		}
	}
	return s.db.writer.do(ctx, func(t *tx) error {
		if err := wantEnded(t, key); err != nil {
			return err
		}
		for _, text := range forgetRest {
			if err := t.exec(text, key.App, string(key.ID)); err != nil {
				return err
			}
		}
		return nil
	})
}

// wantEnded returns an error unless a room is there, and has ended: nothing is
// added to it then.
func wantEnded(t *tx, key usher.RoomKey) error {
	r, err := getRoom(context.Background(), t, key)
	if err == nil && r.Status != usher.RoomEnded {
		err = store.ErrNotEnded
	}
	return err
}
