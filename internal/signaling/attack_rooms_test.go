package signaling_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"usher"
	"usher/internal/store"
)

// gatedDB holds up the next change of a room, when it is written.
type gatedDB struct {
	store.DB
	next atomic.Pointer[func()]
}

func (db *gatedDB) Rooms() store.Rooms { return gatedRooms{db.DB.Rooms(), db} }

type gatedRooms struct {
	store.Rooms
	db *gatedDB
}

func (r gatedRooms) Change(ctx context.Context, key usher.ParticipantKey, f func(store.Entry) (store.Entry, error)) (store.Entry, error) {
	e, err := r.Rooms.Change(ctx, key, f)
	if hold := r.db.next.Swap(nil); hold != nil {
		(*hold)()
	}
	return e, err
}

func TestASessionThatIsResumedWhileItJoinsIsInTheRoomOnce(t *testing.T) {
	w := newWorld(t)
	w.stop()
	db := &gatedDB{DB: w.db}
	w.db = db
	w.node = w.start()
	r := w.meeting("ann")
	bob := w.connect("bob")
	bob.join(`{"room":%q}`, r.ID)
	ann := w.connect("ann")
	id, token := ann.join(`{"room":%q}`, r.ID)
	bob.roster(2)

	// She is in the room by another session, which another socket resumes while
	// the store is about to say that it is in.
	second := w.connect("ann")
	taken, goOn := make(chan struct{}), make(chan struct{})
	hold := func() {
		close(taken)
		<-goOn
	}
	db.next.Store(&hold)
	second.send(fmt.Sprintf(`{"action":"room.join","payload":{"room":%q,"participant":%q,"token":%q}}`, r.ID, id, token))
	<-taken
	third := w.connect("ann", second.resume(0))
	third.want("room.joined")
	close(goOn)
	second.wantClosed(4409)

	bob.ask(`{"action":"sdp","room":%q,"to":%q,"id":"1"}`, r.ID, id)
	for third.next().body["action"] != "sdp" {
	}
	third.ask(`{"action":"room.message","room":%q,"id":"1"}`, r.ID)
	bob.want("room.message")
	third.ask(`{"action":"room.leave","room":%q,"id":"2"}`, r.ID)
	bob.roster(1)
	bob.refused("participant_not_found", `{"action":"sdp","room":%q,"to":%q}`, r.ID, id)
}

// TestNothingPassesByARightThatWasTaken has one who talks all the time lose the
// right to. What others hear of it after the moderator was answered is nothing.
func TestNothingPassesByARightThatWasTaken(t *testing.T) {
	for name, take := range map[string]string{
		"the role":  `{"do":"role","role":"viewer"}`,
		"the place": `{"do":"remove"}`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			r := w.meeting("ann")
			ann, bob := w.connect("ann"), w.connect("bob")
			ann.join(`{"room":%q}`, r.ID)
			id, _ := bob.join(`{"room":%q,"role":"speaker"}`, r.ID)
			var talking sync.WaitGroup
			stop := make(chan struct{})
			talking.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if bob.conn.Write(context.Background(), 1, fmt.Appendf(nil, `{"action":"room.message","room":%q}`, r.ID)) != nil {
						return
					}
				}
			})
			ann.until("room.message")
			ann.send(fmt.Sprintf(`{"action":"room.moderate","room":%q,"to":%q,"id":"m","payload":%s}`, r.ID, id, take))
			ann.until("ack")
			for range 20 {
				ann.send(`{"action":"ping"}`)
				for {
					m := ann.next()
					if m.body["action"] == "room.message" {
						t.Fatalf("ann heard %s", m.text)
					}
					if m.body["action"] == "pong" {
						break
					}
				}
			}
			close(stop)
			talking.Wait()
		})
	}
}
