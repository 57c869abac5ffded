package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	liveKitURL    = "wss://livekit.example.com"
	liveKitKey    = "APItest"
	liveKitSecret = "a secret of this test and nothing else"
)

// LiveKit's client SDK fetches its tokens from our endpoint without glue, and
// its server SDK verifies them.
func TestLiveKitsSDKsTakeOurTokens(t *testing.T) {
	t.Parallel()
	s := start(t, options{Env: []string{
		"USHER_LIVEKIT_URL=" + liveKitURL, "USHER_LIVEKIT_API_KEY=" + liveKitKey, "USHER_LIVEKIT_API_SECRET=" + liveKitSecret,
	}})
	s.Secret(liveKitSecret)
	var result struct {
		Results []struct {
			ServerURL, ParticipantToken, Error string
			ByOther                            map[string]any
			Claims                             struct {
				Iss, Sub string
				Nbf, Exp int64
				Video    map[string]any
			}
		}
	}
	node(t, s, "livekit.mjs", map[string]any{
		"endpoint": s.HTTPS + "/livekit/token", "apiKey": liveKitKey, "apiSecret": liveKitSecret, "otherSecret": strings.Repeat("x", 40),
		"requests": []map[string]any{
			{"roomName": "standup", "participantIdentity": "ann"},
			{"roomName": "standup", "participantIdentity": "ben", "participantName": "Ben", "participantAttributes": map[string]string{}},
			{"participantIdentity": "ann"},
			{"roomName": "standup", "agentName": "helper"},
		},
	}, &result)

	for i, identity := range []string{"ann", "ben"} {
		got := result.Results[i]
		s.Secret(got.ParticipantToken)
		if got.Error != "" || got.ServerURL != liveKitURL || got.Claims.Iss != liveKitKey || got.Claims.Sub != identity {
			t.Errorf("%s: got %+v", identity, got)
		}
		if lifetime := time.Until(time.Unix(got.Claims.Exp, 0)); lifetime <= 0 || lifetime > 24*time.Hour || got.Claims.Nbf > time.Now().Unix() {
			t.Errorf("%s: the token begins at %d and ends in %v", identity, got.Claims.Nbf, lifetime)
		}
		for right, want := range map[string]any{"room": "standup", "roomJoin": true, "canPublish": true, "canSubscribe": true, "canPublishData": true, "roomCreate": nil, "roomList": nil} {
			if diff := cmp.Diff(want, got.Claims.Video[right]); diff != "" {
				t.Errorf("%s: %s (-want +got):\n%s", identity, right, diff)
			}
		}
		if got.ByOther["refused"] == nil {
			t.Errorf("%s: the token is good by another secret too: %v", identity, got.ByOther)
		}
	}
	for i, field := range map[int]string{2: "room_name", 3: "room_config"} {
		if got := result.Results[i].Error; !strings.Contains(got, "received 400") || !strings.Contains(got, field) {
			t.Errorf("what no token carries: got the error %q, want 400 for %s", got, field)
		}
	}
}
