package webhook_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/webhook"
)

// hanging is a target that never answers.
type hanging struct{}

func (hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// A server that ends would otherwise be killed before it has written down the rest.
func TestManyTargetsThatHangAreNotWaitedForOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.server(func(d *webhook.Deps) {
			d.Client = func(bool) *http.Client { return &http.Client{Transport: hanging{}} }
		})
		var all []webhook.Config
		for i := range 20 {
			all = append(all, config(func(c *webhook.Config) { c.Name, c.Timeout = fmt.Sprint("app", i), 30*time.Second })...)
		}
		s.apply(all)
		w.happen("a")
		time.Sleep(5 * time.Second)
		begin := time.Now()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("it took %v to end", took)
		}
	})
}
