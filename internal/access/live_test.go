package access_test

import (
	"testing"
	"time"

	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/limit"
)

// ended hears why a live connection ended.
type ended chan access.End

func (c ended) Detached(e access.End) { c <- e }

func TestARenewalThatIsRefusedChangesNothing(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{}, func(c *access.Config) { c.Limits.Mint = limit.Rate{Count: 1, Per: 24 * time.Hour} })
	old := user("ann")
	old.IssuedAt, old.Expires = time.Now(), time.Now().Add(time.Minute)
	live, err := a.Connect(t.Context(), old, make(ended, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer live.End()
	longer := old
	longer.Expires = time.Now().Add(time.Hour)
	if err := live.Renew(t.Context(), longer); code(err) != "rate_limited" {
		t.Fatalf("got %v, want rate_limited", err)
	}
	if got := live.Identity().Expires; !got.Equal(old.Expires) {
		t.Errorf("the connection expires at %v, want %v", got, old.Expires)
	}
}
