package agora

import (
	"cmp"
	"net/http"
	"time"

	"usher"
	"usher/internal/httpd"
)

// asked is what a route is asked for that has everything in its query.
type asked struct {
	channel, user, role string
	lifetime            time.Duration
}

// parse reads a query, and the user from the parameter of that name.
func (a *asked) parse(r *http.Request, user string) error {
	values, err := valuesOf(r.URL.RawQuery)
	if err != nil {
		return err
	}
	for name, field := range map[string]*string{"channelName": &a.channel, user: &a.user, "role": &a.role} {
		if *field, err = only(values, name); err != nil {
			return err
		}
	}
	a.lifetime, err = lifetimeIn(values, "expireTime")
	return err
}

// uid returns the user as a uid. Without one, these servers make a token that
// anybody can use.
func (a *asked) uid() (string, error) {
	if a.user == "" {
		return "", errNoUser
	}
	return userOf("uid", a.user)
}

// accessToken is the one route of the tutorial's first version, in which who
// names no role is a subscriber.
func (s *Service) accessToken(w http.ResponseWriter, r *http.Request) error {
	return s.channelQuery(w, r, "token", func(a asked) (usher.Role, error) { return roleOf(cmp.Or(a.role, "subscriber")) })
}

// rtcToken is of Agora's DemoServer, where everybody publishes.
func (s *Service) rtcToken(w http.ResponseWriter, r *http.Request) error {
	return s.channelQuery(w, r, "key", func(asked) (usher.Role, error) { return usher.Speaker, nil })
}

// channelQuery answers with a token for a channel as the given member.
func (s *Service) channelQuery(w http.ResponseWriter, r *http.Request, member string, role func(asked) (usher.Role, error)) error {
	var a asked
	if err := a.parse(r, "uid"); err != nil {
		return err
	}
	if err := checkChannel(a.channel); err != nil {
		return err
	}
	user, err := a.uid()
	if err != nil {
		return err
	}
	as, err := role(a)
	if err != nil {
		return err
	}
	token, err := s.channelToken(r, a.channel, user, as, a.lifetime)
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, map[string]string{member: token})
}

// rtmToken is of Agora's DemoServer.
func (s *Service) rtmToken(w http.ResponseWriter, r *http.Request) error {
	var a asked
	if err := a.parse(r, "account"); err != nil {
		return err
	}
	if a.user == "" {
		return errNoUser
	}
	token, err := s.loginToken(r, rtm, a.user, a.lifetime)
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, map[string]string{"key": token})
}
