package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/client"
)

func TestARefusalIsExplainedToTheOperatorOnly(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s := start(t, options{Config: trusting(i.entry()) + fmt.Sprintf("operators: ['group:%s#admins']\n", i.url)})
	owner, ann := i.token("owner"), i.token("ann")
	boss := i.token("boss", claims{"groups": []string{"admins"}})
	s.must(http.StatusCreated, http.MethodPost, "/api/v1/rooms", `{"name":"board"}`, append(bearer(owner.Reveal()), asJSON...)...)

	const enter = "/api/v1/rooms/board/participants"
	refused := s.must(http.StatusForbidden, http.MethodPost, enter, "{}", append(bearer(ann.Reveal()), asJSON...)...)
	if got := refused.text(t, "code"); got != "not_member" {
		t.Errorf("the code is %q, want not_member", got)
	}
	if got := refused.text(t, "detail"); !strings.HasSuffix(got, ".") {
		t.Errorf("the reason is no sentence: %q", got)
	}
	decision := refused.text(t, "decision")
	if !idForm.MatchString(decision) {
		t.Fatalf("the decision is %q", decision)
	}

	t.Run("the refused caller learns nothing more", func(t *testing.T) {
		ask := func(id string) answer {
			return s.must(http.StatusForbidden, http.MethodGet, "/api/v1/decisions/"+id, "", bearer(ann.Reveal())...)
		}
		about, unknown := ask(decision).JSON(t), ask("aaaaaaaaaaaaaaaaaaaaaaaaaa").JSON(t)
		for _, a := range []map[string]any{about, unknown} {
			delete(a, "decision") // of this refusal
			delete(a, "request_id")
		}
		if diff := cmp.Diff(unknown, about); diff != "" {
			t.Errorf("the answer differs from that about a decision that there is not:\n%s", diff)
		}
		s.must(http.StatusForbidden, http.MethodGet, "/api/v1/events", "", bearer(ann.Reveal())...)
		if strings.Contains(refused.Body, "admission members") {
			t.Errorf("the refusal names the rule: %s", refused.Body)
		}
	})

	t.Run("the operator learns the rule, over HTTP", func(t *testing.T) {
		e, err := s.as(boss).Decision(within(t, time.Minute), usher.ID(decision))
		if err != nil {
			t.Fatal(err)
		}
		if d := e.Decision; e.Who != i.user("ann") || d == nil || d.Allowed || d.Rule != "admission members" || d.Code != "not_member" ||
			d.Action != "room.enter" || !strings.Contains(d.Proof, i.key.KeyID) || e.RequestID != refused.Header.Get("X-Request-Id") {
			t.Errorf("got %+v with the decision %+v", e, e.Decision)
		}
	})

	t.Run("the operator learns the rule, on the machine", func(t *testing.T) {
		wantExplained(t, s, decision, "admission members", "not_member", i.user("ann"), "room.enter")
	})

	t.Run("a member may enter", func(t *testing.T) {
		body := fmt.Sprintf(`{"identity":%q,"role":"speaker","name":"Ann"}`, i.user("ann"))
		s.must(http.StatusOK, http.MethodPut, "/api/v1/rooms/board/members", body, append(bearer(owner.Reveal()), asJSON...)...)
		a := s.must(http.StatusCreated, http.MethodPost, enter, "{}", append(bearer(ann.Reveal()), asJSON...)...)
		s.Secret(a.text(t, "secret"))
	})

	t.Run("what was decided is explained also after a restart, and without a server", func(t *testing.T) {
		refusals := s.recorded(1, client.EventQuery{Who: i.user("ann"), Code: "not_member"})
		if len(refusals) != 1 || string(refusals[0].ID) != decision {
			t.Errorf("the record of refusals has %+v, want only %s", refusals, decision)
		}
		s.Kill()
		wantExplained(t, s, decision, "admission members", "not_member", i.user("ann"), "room.enter")
		s.Restart()
		wantExplained(t, s, decision, "admission members", "not_member", i.user("ann"), "room.enter")
	})
	if r := runUsher(t, "explain", "aaaaaaaaaaaaaaaaaaaaaaaaaa", "--data", s.Data); r.Status != 1 || r.Stdout != "" {
		t.Errorf("a decision that there is not: status %d, printed %q\n%s", r.Status, r.Stdout, r.Stderr)
	}
}

func wantExplained(t *testing.T, s *Server, decision string, words ...string) {
	t.Helper()
	r := runUsher(t, "explain", decision, "--data", s.Data)
	if r.Status != 0 {
		t.Fatalf("usher explain: status %d\n%s", r.Status, r.Stderr)
	}
	for _, word := range words {
		if !strings.Contains(r.Stdout, word) {
			t.Errorf("usher explain has no word of %q:\n%s", word, r.Stdout)
		}
	}
}
