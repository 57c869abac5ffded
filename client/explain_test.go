package client_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/client"
)

func TestExplanations(t *testing.T) {
	at := client.Time{Time: time.Date(2026, time.November, 20, 8, 30, 0, 123456000, time.UTC)}
	const who = "user:https://id.example#ann"
	tests := []struct {
		name  string
		event client.Event
		want  string
	}{
		{"a refusal", client.Event{
			ID: "d", Type: usher.Decided, At: at, Who: who, Name: "Ann", Room: "r", RequestID: "q", Reason: "Only members may enter this room.",
			Decision: &client.Decision{Action: "room.enter", Rule: "admission members", Code: "not_member", Proof: "https://id.example, key 1"},
		}, `At 2026-11-20 08:30:00.123456 UTC, by the clock of the server that wrote it down, Ann (user:https://id.example#ann) asked for room.enter in the room r.
It was refused with the code not_member: Only members may enter this room.
The rule that decided: admission members (the room admits members only, and the caller is none: neither itself nor by a group)
The caller was known by: https://id.example, key 1.
In the server's log this is the request q.
`},
		{"a grant that was cut down", client.Event{
			ID: "d", Type: usher.Decided, At: at, Who: who, Actor: "client:c", Room: "r",
			Decision: &client.Decision{
				Action: "room.enter", Allowed: true, Rule: "member group:https://id.example#staff", Role: usher.Viewer,
				Permissions: usher.Permissions{usher.Join, usher.Subscribe}, NotBefore: at, ExpiresAt: client.Time{Time: at.Add(time.Hour)},
				Clamped: []string{"role", "lifetime"}, Proof: "api key for its subject",
			},
		}, `At 2026-11-20 08:30:00.123456 UTC, by the clock of the server that wrote it down, user:https://id.example#ann asked for room.enter in the room r.
It was client:c that called, acting for the caller.
It was allowed.
The rule that decided: member group:https://id.example#staff (the membership that counts; what its role may do is all that the caller may)
The caller was known by: api key for its subject.
Granted was the role viewer, which may: join, subscribe.
It is good from 2026-11-20 08:30:00.123456 UTC to 2026-11-20 09:30:00.123456 UTC.
More was asked for than is allowed, and cut down: role, lifetime.
`},
		{"a revocation that ruled it out", client.Event{
			ID: "d", Type: usher.Decided, At: at, Who: who, Reason: "What you present was revoked.",
			Decision: &client.Decision{Action: "room.list", Rule: "revocation v", Code: "revoked"},
		}, `At 2026-11-20 08:30:00.123456 UTC, by the clock of the server that wrote it down, user:https://id.example#ann asked for room.list.
It was refused with the code revoked: What you present was revoked.
The rule that decided: revocation v (what was presented was issued before this revocation, or is void for good)
Nothing is on record of how the caller was known.
`},
		{"a connection", client.Event{ID: "d", Type: usher.Attached, At: at, Room: "r", Participant: "p"},
			`At 2026-11-20 08:30:00.123456 UTC, by the clock of the server that wrote it down, somebody unknown connected as participant p in the room r.
`},
		{"an invite", client.Event{ID: "d", Type: usher.Redeemed, At: at, Who: "guest:g", Name: "Dora", Room: "r", Reason: "invite i"},
			`At 2026-11-20 08:30:00.123456 UTC, by the clock of the server that wrote it down, Dora (guest:g) redeemed an invite in the room r.
Reason: invite i
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, strings.Join(tt.event.Explain(), "\n")+"\n"); diff != "" {
				t.Error(diff)
			}
		})
	}
}
