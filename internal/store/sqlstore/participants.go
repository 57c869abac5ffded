package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"usher"
	"usher/internal/store"
)

var participantMapping = mapping[usher.Participant]{
	table: "participants",
	columns: []string{
		"app", "room", "id", "made", "status", "role", "name", "identity",
		"maker", "proven_at", "grant_id", "expires_at", "secret", "token", "hold", "held_until", "attachment", "node", "lost_at", "updated_at", "end_reason", "version",
	},
	keys: 3,
	fields: func(p *usher.Participant) []any {
		return []any{
			&p.App, (*string)(&p.Room), (*string)(&p.ID), discard{}, (*string)(&p.Status), (*string)(&p.Role), &p.Name, &p.Identity,
			&p.Maker, stampField{&p.ProvenAt}, (*string)(&p.Grant), stampField{&p.Expires}, (*digest)(&p.Secret), (*digest)(&p.Token), (*string)(&p.Hold), stampField{&p.HeldUntil},
			(*string)(&p.Attachment), (*string)(&p.Node), stampField{&p.LostAt}, stampField{&p.UpdatedAt}, &p.EndReason, &p.Version,
		}
	},
	values: func(p *usher.Participant) []any {
		return []any{
			p.App, string(p.Room), string(p.ID), made(p.ID), string(p.Status), string(p.Role), p.Name, p.Identity,
			p.Maker, stamp(p.ProvenAt), string(p.Grant), stamp(p.Expires), digest(p.Secret), digest(p.Token), string(p.Hold), stamp(p.HeldUntil),
			string(p.Attachment), string(p.Node), stamp(p.LostAt), stamp(p.UpdatedAt), p.EndReason, p.Version,
		}
	},
	version: func(p *usher.Participant) *int64 { return &p.Version },
}

var (
	selectParticipants = participantMapping.query("WHERE app = $1 AND room = $2 AND (made, id) > ($3, $4)")
	selectEntry        = "SELECT " + participantMapping.list() + ", " + roomMapping.list() +
		" FROM participants JOIN rooms ON rooms.app = participants.app AND rooms.id = participants.room" +
		" WHERE participants.app = $1 AND participants.room = $2 AND participants.id = $3"
)

const selectDueParticipants = "SELECT app, room, id FROM participants WHERE held_until <= $1 ORDER BY held_until LIMIT $2"

func participantKeyFields(k *usher.ParticipantKey) []any {
	return []any{&k.App, (*string)(&k.Room), (*string)(&k.ID)}
}

func entryFields(e *store.Entry) []any {
	return append(participantMapping.fields(&e.Participant), roomMapping.fields(&e.Room)...)
}

func getEntry(ctx context.Context, p preparer, key usher.ParticipantKey) (store.Entry, error) {
	return one(ctx, p, entryFields, selectEntry, key.App, string(key.Room), string(key.ID))
}

func cutParticipant(p *usher.Participant) {
	cut(&p.ProvenAt, &p.Expires, &p.HeldUntil, &p.LostAt, &p.UpdatedAt)
}

func (s rooms) Enter(ctx context.Context, p usher.Participant, change func(usher.Room) (usher.Room, error)) (store.Entry, error) {
	cutParticipant(&p)
	return write(ctx, s.db.writer, func(t *tx) (store.Entry, error) {
		old, err := getRoom(context.Background(), t, p.RoomKey())
		if err != nil {
			return store.Entry{}, err
		}
		next, err := change(old)
		switch {
		case errors.Is(err, store.ErrUnchanged):
			return store.Entry{Room: old}, nil
		case err != nil:
			return store.Entry{}, err
		}
		if next, err = updateRoom(t, old, next); err != nil {
			return store.Entry{}, err
		}
		if err := participantMapping.insert(t, &p); err != nil {
			return store.Entry{}, err
		}
		return store.Entry{Room: next, Participant: p}, nil
	})
}

func (s rooms) Participant(ctx context.Context, key usher.ParticipantKey) (store.Entry, error) {
	return getEntry(ctx, s.db.reader, key)
}

func (s rooms) Participants(ctx context.Context, q store.ParticipantQuery) ([]usher.Participant, error) {
	text, args := selectParticipants, []any{q.Room.App, string(q.Room.ID), made(q.After), string(q.After)}
	if q.Status != "" {
		args = append(args, string(q.Status))
		text += fmt.Sprintf(" AND status = $%d", len(args))
	}
	args = append(args, limit(q.Limit))
	text += fmt.Sprintf(" ORDER BY made, id LIMIT $%d", len(args))
	ps, err := all(ctx, s.db.reader, participantMapping.fields, text, args...)
	if err != nil || len(ps) > 0 {
		return ps, err
	}
	_, err = s.Get(ctx, q.Room) // an empty page, or no room at all
	return nil, err
}

func (s rooms) Change(ctx context.Context, key usher.ParticipantKey, change func(store.Entry) (store.Entry, error)) (store.Entry, error) {
	return write(ctx, s.db.writer, func(t *tx) (store.Entry, error) {
		old, err := getEntry(context.Background(), t, key)
		if err != nil {
			return store.Entry{}, err
		}
		next, err := change(old)
		switch {
		case errors.Is(err, store.ErrUnchanged):
			return old, nil
		case err != nil:
			return store.Entry{}, err
		}
		cutParticipant(&next.Participant)
		if err := participantMapping.update(t, &old.Participant, &next.Participant); err != nil {
			return store.Entry{}, err
		}
		next.Room, err = updateRoom(t, old.Room, next.Room)
		return next, err
	})
}

func (s rooms) DueParticipants(ctx context.Context, now time.Time, n int) ([]usher.ParticipantKey, error) {
	return all(ctx, s.db.reader, participantKeyFields, selectDueParticipants, now.UnixMicro(), limit(n))
}

func (s rooms) Stranded(ctx context.Context, alive []usher.ID, n int) ([]usher.ParticipantKey, error) {
	gaps, args := otherNodes("SELECT app, room, id FROM participants WHERE hold = 'socket'", "node", alive)
	args = append(args, limit(n))
	text := strings.Join(gaps, " UNION ALL ") + fmt.Sprintf(" LIMIT $%d", len(args))
	return all(ctx, s.db.reader, participantKeyFields, text, args...)
}

// otherNodes asks for each gap between the live nodes, so that the index is
// read only where there is something to find, and not past all who are
// connected.
func otherNodes(from, column string, alive []usher.ID) (gaps []string, args []any) {
	for i, node := range slices.Compact(slices.Sorted(slices.Values(alive))) {
		args = append(args, string(node))
		if i == 0 {
			gaps = append(gaps, from+" AND "+column+" < $1")
		} else {
			gaps = append(gaps, from+fmt.Sprintf(" AND %s > $%d AND %s < $%d", column, i, column, i+1))
		}
	}
	if last := len(args); last == 0 {
		gaps = append(gaps, from)
	} else {
		gaps = append(gaps, from+fmt.Sprintf(" AND %s > $%d", column, last))
	}
	return gaps, args
}
