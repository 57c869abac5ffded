package e2e_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"
)

// vpaasCredential is what the native API answers for VPaaS.
type vpaasCredential struct {
	Token     string `json:"token"`
	URL       string `json:"url"`
	ExpiresIn int    `json:"expires_in"`
	RefreshIn int    `json:"refresh_in"`
	Body      struct {
		APIAddress  string `json:"api_address"`
		Meeting     string `json:"meeting_id"`
		Participant string `json:"participant_id"`
		Secret      string `json:"participant_secret"`
	} `json:"body"`
}

func (c vpaasCredential) place() place {
	return place{c.Body.Meeting, c.Body.Participant, c.Body.Secret}
}

// vpaasCredential asks for one in a room.
func (s *Server) vpaasCredential(room, more string) vpaasCredential {
	s.t.Helper()
	a := s.must(http.StatusCreated, http.MethodPost, "/api/v1/rooms/"+room+"/credentials", `{"platform":"vpaas"`+more+`}`, asJSON...)
	var c vpaasCredential
	if err := json.Unmarshal([]byte(a.Body), &c); err != nil {
		s.t.Fatal(err)
	}
	s.Secret(c.Token)
	if c.Token != c.Body.Secret || c.URL != c.Body.APIAddress || c.ExpiresIn <= 0 || c.RefreshIn >= c.ExpiresIn {
		s.t.Errorf("got %+v", c)
	}
	return c
}

func TestACredentialForOurOwnVPaaSIsJoinedAtTheAddressInIt(t *testing.T) {
	s := start(t, options{})
	ann, ben := s.vpaasCredential("lobby", `,"subject":"ann"`), s.vpaasCredential("lobby", `,"subject":"ben","role":"viewer"`)
	if ann.URL != s.HTTPS && ann.URL != s.HTTP || ann.Body.Meeting != ben.Body.Meeting || ann.Body.Participant == ben.Body.Participant {
		t.Errorf("got %+v and %+v", ann, ben)
	}
	at := s.joined(ann.place())
	dialSeat(t, s, at)
	// Renewed by who is in the room, it is the same place and the same secret.
	if again := s.vpaasCredential("lobby", `,"subject":"ann"`); again.place() != ann.place() {
		t.Errorf("renewed it is %+v, and was %+v", again.Body, ann.Body)
	}
	if again := s.vpaasCredential("lobby", `,"subject":"ben"`); again.Body.Participant != ben.Body.Participant || again.Token == ben.Token {
		t.Errorf("asked for again it is %+v, and was %+v", again.Body, ben.Body)
	}
	if a, err := s.join(ben.place()); err != nil || a.Status != http.StatusNotFound {
		t.Errorf("the secret before the last: got %d %s, %v", a.Status, a.Body, err)
	}
}

// Another Usher stands in for Pexip's VPaaS.
func TestACredentialForAForeignVPaaSIsAParticipantThereWhoGoesInTheEnd(t *testing.T) {
	service := start(t, options{})
	key := clientKey(t)
	s := backEnd(t, service, service.register(key.Public), key)
	ann, ben := s.vpaasCredential("lobby", `,"subject":"ann"`), s.vpaasCredential("lobby", `,"subject":"ben","ttl":8`)
	if ann.URL != service.HTTPS || ann.Body.Meeting != ben.Body.Meeting || ann.Body.Participant == ben.Body.Participant {
		t.Errorf("got %+v and %+v", ann, ben)
	}
	other := s.vpaasCredential("hall", `,"subject":"ann"`)
	if other.Body.Meeting == ann.Body.Meeting {
		t.Error("two rooms have one meeting")
	}
	service.joined(ann.place())
	// Whoever is in the meeting stays who it is; whoever is not gets another secret.
	if again := s.vpaasCredential("hall", `,"subject":"ann"`); again.Body.Participant != other.Body.Participant || again.Token == other.Token {
		t.Errorf("asked for again it is %+v, and was %+v", again.Body, other.Body)
	}
	if again := s.vpaasCredential("lobby", `,"subject":"ann"`); again.Body.Participant != ann.Body.Participant || again.Token != "" {
		t.Errorf("renewed from within it is %+v, and was %+v", again.Body, ann.Body)
	}
	// What is over is taken back there, though the service knows no times.
	path := "/api/v1/rooms/" + ben.Body.Meeting + "/participants/" + ben.Body.Participant
	for late := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		got := service.must(http.StatusOK, http.MethodGet, path, "").text(t, "status")
		if got == "removed" {
			break
		}
		if time.Now().After(late) {
			t.Fatalf("ben is still %s", got)
		}
	}
	if a, err := service.join(ben.place()); err != nil || a.Status != http.StatusNotFound {
		t.Errorf("ben comes in afterwards: got %d %s, %v", a.Status, a.Body, err)
	}
	if ann := s.vpaasCredential("lobby", `,"subject":"ben"`); ann.Body.Participant == ben.Body.Participant {
		t.Error("back as who was removed")
	}
	// The meeting is remembered by the next process.
	s.Stop()
	s.Restart()
	if again := s.vpaasCredential("lobby", `,"subject":"cid"`); again.Body.Meeting != ann.Body.Meeting {
		t.Errorf("after a restart the meeting is %s, and was %s", again.Body.Meeting, ann.Body.Meeting)
	}
}
