package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"usher"
	"usher/internal/store"
	"usher/internal/store/sqlstore"
)

// earlier says what was in a database when a schema was new, as rows that were
// valid then, and how they read now.
var earlier = map[int64]struct {
	rows []string
	read func(context.Context, *sqlstore.DB) (string, error)
	want string
}{
	1: {[]string{
		`INSERT INTO rooms VALUES ('default','r1',1,'lobby','permanent','running','user:a','',5,1,NULL,NULL,NULL,7,NULL,'',NULL,3)`,
		`INSERT INTO participants VALUES ('default','r1','p1',2,'joined','host','Ann','user:a','client:c',NULL,'g1',NULL,NULL,NULL,'socket',NULL,'at','n1',NULL,8,'',2)`,
		`INSERT INTO clients VALUES ('c1',3,'default','back end','PEM',NULL,NULL,NULL,'meeting:create',9,NULL,NULL,4)`,
		`INSERT INTO keys VALUES ('k1',4,'EdDSA','current',x'00ff',NULL,10)`,
		`INSERT INTO marks VALUES ('jti:a',x'01',9000000000000000)`,
		`INSERT INTO members VALUES ('default','r1','user:b','speaker','Ben','user:a',11)`,
		`INSERT INTO invites VALUES ('default','r1','i1',5,NULL,'viewer',1,2,NULL,'user:a',NULL,12,1)`,
		`INSERT INTO takings VALUES (1,'t1','default','ban','','user:x','','r1',NULL,1,NULL,'user:a','rude')`,
		`INSERT INTO batches VALUES (1,13,14,2,x'7b7d')`,
		`UPDATE batch_totals SET seq = 1, bytes = 2, span = 1`,
	}, readFirst, "lobby 1 3 Ann joined 2 back end k1 Ben 1 user:x rude 2"},
	2: {[]string{`INSERT INTO stays VALUES ('default','r1','janus','user:a','ann','client:c',NULL,'g1','p1',NULL,NULL,'',NULL,0,'',NULL,1)`},
		func(ctx context.Context, db *sqlstore.DB) (string, error) {
			list, err := db.Stays().List(ctx, store.StayQuery{Limit: 5})
			return fmt.Sprint(len(list), list[0].Subject, list[0].Platform), err
		}, "1annjanus"},
	20: {[]string{
		`INSERT INTO users VALUES ('default','user:a','Ann@example.org','ann@example.org','Ann',1,1,1,1), ('default','user:b','ben@example.org','ben@example.org','Ben',1,1,1,1)`,
		`INSERT INTO contacts VALUES ('default','user:a','user:b',2)`,
	}, func(ctx context.Context, db *sqlstore.DB) (string, error) {
		u, err1 := db.Users().Get(ctx, usher.DefaultApp, "user:a")
		c, err2 := db.Contacts().Get(ctx, usher.DefaultApp, "user:a", "user:b")
		return fmt.Sprint(u.Email, c.AddedAt.UnixMicro(), err1, err2), nil
	}, "Ann@example.org2 <nil> <nil>"},
	30: {[]string{`INSERT INTO calls VALUES ('default','c1','user:a','user:b','user:a','','','',NULL,'user:b','','','',NULL,'ringing','',0,'','',1,NULL,NULL,NULL,'','','',0,NULL,1,1)`},
		func(ctx context.Context, db *sqlstore.DB) (string, error) {
			c, err := db.Calls().Find(ctx, store.CallQuery{App: usher.DefaultApp, ID: "c1", User: "user:a"})
			return string(c.Status), err
		}, "ringing"},
	40: {[]string{
		`INSERT INTO documents VALUES ('default','r1',2,1,'s1',1,1)`,
		`INSERT INTO document_log VALUES ('default','r1',2,2,1,x'62')`,
		`INSERT INTO document_parts VALUES ('default','r1','s1',0,x'61')`,
	}, func(ctx context.Context, db *sqlstore.DB) (string, error) {
		room := usher.RoomKey{App: usher.DefaultApp, ID: "r1"}
		head, err1 := db.Documents().Head(ctx, room)
		log, err2 := db.Documents().Log(ctx, room, 1, 5)
		part, err3 := db.Documents().Part(ctx, room, "s1", 0)
		return fmt.Sprint(head.Last, head.Snapshot.ID, len(log), string(part), err1, err2, err3), nil
	}, "2s11a<nil> <nil> <nil>"},
	50: {[]string{`INSERT INTO sessions VALUES (x'0100000000000000000000000000000000000000000000000000000000000000','s1',1,'default','user:a','ann','{}',9000000000000000,1,1)`},
		func(ctx context.Context, db *sqlstore.DB) (string, error) {
			s, err := db.Sessions().Get(ctx, usher.Digest{1})
			return fmt.Sprint(s.ID, s.User), err
		}, "s1ann"},
	60: {[]string{`INSERT INTO attachments VALUES ('default','user:a','conn','a1','https://example.org','{}',1,0,1,NULL,1,1)`},
		func(ctx context.Context, db *sqlstore.DB) (string, error) {
			list, err := db.Attachments().Of(ctx, usher.DefaultApp, "user:a")
			return fmt.Sprint(len(list), list[0].ID), err
		}, "1a1"},
	70: {[]string{`INSERT INTO rooms VALUES ('default','r2',1,'','ephemeral','ended','client:c1','',0,0,NULL,NULL,NULL,1,1,'over',NULL,2)`},
		func(ctx context.Context, db *sqlstore.DB) (string, error) {
			keys, err := db.Rooms().Ended(ctx, time.UnixMicro(2), 5)
			return fmt.Sprint(keys), err
		}, "[{default r2}]"},
}

func readFirst(ctx context.Context, db *sqlstore.DB) (string, error) {
	room := usher.RoomKey{App: usher.DefaultApp, ID: "r1"}
	r, err := db.Rooms().ByName(ctx, usher.DefaultApp, "lobby")
	if err != nil {
		return "", err
	}
	p, err := db.Rooms().Participant(ctx, usher.ParticipantKey{App: usher.DefaultApp, Room: "r1", ID: "p1"})
	if err != nil {
		return "", err
	}
	c, err := db.Clients().Get(ctx, "c1")
	if err != nil {
		return "", err
	}
	keys, err := db.Keys().List(ctx)
	if err != nil {
		return "", err
	}
	members, err := db.Members().List(ctx, room, "", 5)
	if err != nil {
		return "", err
	}
	invites, err := db.Invites().List(ctx, room, "", 5)
	if err != nil {
		return "", err
	}
	taken, err := db.Takings().After(ctx, 0, 5)
	if err != nil {
		return "", err
	}
	batches, err := db.Record().After(ctx, 0, 5)
	if err != nil {
		return "", err
	}
	return fmt.Sprintln(r.Name, r.Taken, r.Version, p.Participant.Name, p.Participant.Status, p.Participant.Version, c.Name, keys[0].ID,
		members[0].Name, invites[0].Uses, taken[0].Target.Identity, taken[0].Reason, batches[0].Count), nil
}

func TestEveryEarlierSchemaIsBroughtForward(t *testing.T) {
	steps, err := goose.NewProvider(goose.DialectSQLite3, plain(t, filepath.Join(t.TempDir(), "x")), os.DirFS("migrations"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	sources := steps.ListSources()
	t.Logf("figure: %d earlier schemas, the last is %d", len(sources)-1, sources[len(sources)-1].Version)
	for i, last := range sources {
		t.Run(fmt.Sprint(last.Version), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "usher.db")
			raw := plain(t, path)
			p, err := goose.NewProvider(goose.DialectSQLite3, raw, os.DirFS("migrations"), goose.WithDisableGlobalRegistry(true))
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range sources[:i+1] {
				if _, err := p.UpTo(t.Context(), step.Version); err != nil {
					t.Fatal(err)
				}
				rows, ok := earlier[step.Version]
				if !ok {
					t.Fatalf("say what was in a database of schema %d", step.Version)
				}
				for _, row := range rows.rows {
					if _, err := raw.ExecContext(t.Context(), row); err != nil {
						t.Fatalf("%s: %v", row, err)
					}
				}
			}
			if err := raw.Close(); err != nil {
				t.Fatal(err)
			}
			db := open(t, at(path))
			for _, step := range sources[:i+1] {
				got, err := earlier[step.Version].read(t.Context(), db)
				if want := earlier[step.Version].want; err != nil || strings.TrimSpace(got) != want {
					t.Errorf("of schema %d: got %q and error %v, want %q", step.Version, got, err, want)
				}
			}
			if err := db.Rooms().Create(t.Context(), newRoom()); err != nil {
				t.Errorf("a write: %v", err)
			}
		})
	}
}

// plain is a database without anything of ours.
func plain(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
