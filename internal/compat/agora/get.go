package agora

import (
	"cmp"
	"net/http"
	"time"

	"usher"
	"usher/internal/httpd"
)

// answer is what the routes by GET answer.
type answer struct {
	RTC  string `json:"rtcToken,omitempty"`
	RTM  string `json:"rtmToken,omitempty"`
	Chat string `json:"chatToken,omitempty"`
}

// place is who wants to be what in which channel, as a path names it.
type place struct {
	channel, user string
	role          usher.Role
	lifetime      time.Duration
}

func placeOf(r *http.Request) (place, error) {
	p := place{channel: r.PathValue("channel")}
	err := checkChannel(p.channel)
	if err != nil {
		return place{}, err
	}
	if p.role, err = roleOf(r.PathValue("role")); err != nil {
		return place{}, err
	}
	if p.user, err = userOf(r.PathValue("tokentype"), r.PathValue("uid")); err != nil {
		return place{}, err
	}
	if p.lifetime, err = lifetimeOf(r.URL.RawQuery); err != nil {
		return place{}, err
	}
	return p, nil
}

func (s *Service) rtc(w http.ResponseWriter, r *http.Request) error {
	p, err := placeOf(r)
	if err != nil {
		return err
	}
	token, err := s.channelToken(r, p.channel, p.user, p.role, p.lifetime)
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, answer{RTC: token})
}

func (s *Service) rtm(w http.ResponseWriter, r *http.Request) error {
	token, err := s.login(r, rtm, r.PathValue("uid"))
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, answer{RTM: token})
}

func (s *Service) chat(w http.ResponseWriter, r *http.Request) error {
	token, err := s.login(r, chat, r.PathValue("chatid"))
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, answer{Chat: token})
}

func (s *Service) login(r *http.Request, format, user string) (string, error) {
	lifetime, err := lifetimeOf(r.URL.RawQuery)
	if err != nil {
		return "", err
	}
	return s.loginToken(r, format, user, lifetime)
}

// rte answers with two tokens, for the channel and for messaging.
func (s *Service) rte(w http.ResponseWriter, r *http.Request) error {
	p, err := placeOf(r)
	if err != nil {
		return err
	}
	var both answer
	if both.RTC, err = s.channelToken(r, p.channel, p.user, p.role, p.lifetime); err != nil {
		return err
	}
	if both.RTM, err = s.loginToken(r, rtm, cmp.Or(r.PathValue("rtmuid"), p.user), p.lifetime); err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, both)
}

func refuseApp(http.ResponseWriter, *http.Request) error { return errApp }
