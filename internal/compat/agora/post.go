package agora

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/httpd"
)

// tokenRequest is the body of POST /getToken and POST /token/getNew.
type tokenRequest struct {
	TokenType string `json:"tokenType"`
	Channel   string `json:"channel"`
	// Role is publisher, audience or subscriber; none is the least.
	Role string `json:"role"`
	UID  string `json:"uid"`
	// Expire is in seconds; 0 is an hour.
	Expire int64 `json:"expire"`
}

func (s *Service) getToken(w http.ResponseWriter, r *http.Request) error {
	var req tokenRequest
	if err := httpd.ReadJSON(r, &req, false); err != nil {
		return err
	}
	token, err := s.tokenFor(r, req)
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, map[string]string{"token": token})
}

func (s *Service) tokenFor(r *http.Request, req tokenRequest) (string, error) {
	lifetime, err := seconds(req.Expire)
	if err != nil {
		return "", err
	}
	switch {
	case req.TokenType == chat && req.UID == "":
		return "", errApp // which is what the others take it for
	case req.UID == "" && (req.TokenType == rtc || req.TokenType == rtm):
		return "", errNoUser
	}
	switch req.TokenType {
	case rtc:
		if err := checkChannel(req.Channel); err != nil {
			return "", err
		}
		role, err := roleOf(cmp.Or(req.Role, "subscriber"))
		if err != nil {
			return "", err
		}
		return s.channelToken(r, req.Channel, req.UID, role, lifetime)
	case rtm, chat:
		return s.loginToken(r, req.TokenType, req.UID, lifetime)
	default:
		return "", usher.Errorf(usher.Invalid, "token_type_unsupported", "The tokenType must be rtc, rtm or chat.")
	}
}

const generatePattern = "POST /token/generate"

// generateRequest is the body of POST /token/generate, which asks for one token
// for several services.
type generateRequest struct {
	Channel string `json:"channelName"`
	UID     string `json:"uid"`
	// The two times are in seconds, whatever their names say; 0 is an hour. We
	// end a token and what it allows together, at the earlier of the two.
	TokenExpire     int64 `json:"tokenExpireTs"`
	PrivilegeExpire int64 `json:"privilegeExpireTs"`
	RTC             struct {
		Enable bool `json:"enable"`
		Role   int  `json:"role"` // 1 publishes, 2 does not
	} `json:"serviceRtc"`
	RTM struct {
		Enable bool `json:"enable"`
	} `json:"serviceRtm"`
	FPA struct {
		Enable bool `json:"enable"`
	} `json:"serviceFpa"`
	Chat  userService `json:"serviceChat"`
	APaaS userService `json:"serviceApaas"`
}

type userService struct {
	User   bool   `json:"enableUser"`
	App    bool   `json:"enableApp"`
	UserID string `json:"userUuid"`
}

// generated is the answer of POST /token/generate.
type generated struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    struct {
		Token string `json:"token"`
	} `json:"data"`
}

func (s *Service) generate(w http.ResponseWriter, r *http.Request) error {
	var req generateRequest
	if err := httpd.ReadJSON(r, &req, false); err != nil {
		return err
	}
	spec, err := req.spec()
	if err != nil {
		return err
	}
	g := generated{Message: "Success"}
	if g.Data.Token, err = s.generateToken(r, req, spec); err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, g)
}

func (s *Service) generateToken(r *http.Request, req generateRequest, spec access.CredentialSpec) (string, error) {
	if !req.RTC.Enable {
		return s.token(r, Messaging, spec)
	}
	if login, both := strings.CutPrefix(spec.Format, rtc+"+"); both {
		// Who may log in is decided in the one room for that.
		both := access.CredentialSpec{Format: login, Subject: spec.Subject, Lifetime: spec.Lifetime, Permissions: req.logsIn()}
		if _, err := s.token(r, Messaging, both); err != nil {
			return "", err
		}
	}
	return s.token(r, req.Channel, spec)
}

// spec returns what is to be issued.
func (req generateRequest) spec() (access.CredentialSpec, error) {
	none := access.CredentialSpec{}
	if req.Chat.App || req.APaaS.App {
		return none, errApp
	}
	lifetime, err := req.lifetime()
	if err != nil {
		return none, err
	}
	spec := access.CredentialSpec{Lifetime: lifetime}
	if spec.Subject, err = req.user(); err != nil {
		return none, err
	}
	if req.RTC.Enable {
		if err := checkChannel(req.Channel); err != nil {
			return none, err
		}
		if spec.Role, err = req.role(); err != nil {
			return none, err
		}
	}
	services := req.services()
	switch {
	case len(services) == 0:
		return none, usher.Errorf(usher.Invalid, "service_required", "Enable at least one of serviceRtc, serviceRtm, serviceFpa, serviceChat and serviceApaas.")
	case spec.Subject == "" && !slices.Equal(services, []string{fpa}):
		return none, errNoUser
	case spec.Role != usher.Speaker && (!req.RTC.Enable || req.RTM.Enable || req.Chat.User):
		// No viewer may send, which the login to messaging lets its user do.
		spec.Role, spec.Permissions = "", req.logsIn()
	}
	spec.Format = strings.Join(services, "+")
	return spec, nil
}

// services returns the parts of the format that is asked for.
func (req generateRequest) services() []string {
	var services []string
	for _, s := range []struct {
		asked bool
		name  string
	}{{req.RTC.Enable, rtc}, {req.RTM.Enable, rtm}, {req.FPA.Enable, fpa}, {req.Chat.User, chat}, {req.APaaS.User, classroom}} {
		if s.asked {
			services = append(services, s.name)
		}
	}
	return services
}

// logsIn returns the permissions that the services other than RTC amount to.
func (req generateRequest) logsIn() usher.Permissions {
	switch {
	case req.APaaS.User:
		return usher.BuiltinRoles()[usher.Speaker]
	case req.RTM.Enable || req.Chat.User:
		return messages()
	default:
		return usher.Permissions{usher.Join, usher.Subscribe}
	}
}

// user returns the one user that the token is for.
func (req generateRequest) user() (string, error) {
	var users []string
	if req.RTC.Enable || req.RTM.Enable {
		users = append(users, req.UID)
	}
	for _, s := range []userService{req.Chat, req.APaaS} {
		if s.User {
			users = append(users, cmp.Or(s.UserID, req.UID))
		}
	}
	switch users = slices.Compact(users); len(users) {
	case 0:
		return req.UID, nil
	case 1:
		return users[0], nil
	default:
		return "", usher.Errorf(usher.Invalid, "uid_invalid", "One token is for one user: userUuid must be the uid, or ask for two tokens.")
	}
}

func (req generateRequest) role() (usher.Role, error) {
	switch req.RTC.Role {
	case 1:
		return usher.Speaker, nil
	case 2:
		return usher.Viewer, nil
	default:
		return "", usher.Errorf(usher.Invalid, "role_incorrect", "The role in serviceRtc must be 1, who publishes, or 2, who does not.")
	}
}

func (req generateRequest) lifetime() (time.Duration, error) {
	token, err := seconds(req.TokenExpire)
	if err != nil {
		return 0, err
	}
	if req.PrivilegeExpire == 0 {
		return token, nil
	}
	privileges, err := seconds(req.PrivilegeExpire)
	return min(token, privileges), err
}
