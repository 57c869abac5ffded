package apigateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"

	"usher"
	"usher/internal/httpd"
	"usher/internal/signaling"
)

// errUnauthorized is, word for word, what API Gateway answers with 401.
var errUnauthorized = errors.New("Unauthorized") //nolint:staticcheck // AWS's word

// policy is what an authorizer answers.
type policy struct {
	PrincipalID string            `json:"principalId"`
	Document    policyDocument    `json:"policyDocument"`
	Context     map[string]string `json:"context,omitempty"`
}

type policyDocument struct {
	Version   string
	Statement []statement
}

type statement struct{ Action, Effect, Resource string }

// identityKey is the name under which API Gateway hands us with each event of a
// connection whose it is.
const identityKey = "usher"

// maxIdentity is how long that may be, in bytes: API Gateway takes 8 KiB in all.
const maxIdentity = 6 << 10

// authorize answers whether somebody may connect. Who is not known gets 401, who
// is known and may not 403.
func (s *Service) authorize(ctx context.Context, e *event) ([]byte, error) {
	answer := policy{Document: policyDocument{"2012-10-17", []statement{{"execute-api:Invoke", "Allow", e.MethodARN}}}}
	token, ticket := e.proof()
	id, err := s.config.Remote.Authenticate(ctx, token, ticket, e.address())
	if err != nil {
		switch usher.AsError(err).Kind {
		case usher.Unauthenticated:
			return nil, errUnauthorized
		case usher.Forbidden, usher.TooMany:
			answer.PrincipalID, answer.Document.Statement[0].Effect = "refused", "Deny"
			return encode(answer), nil
		}
		return nil, s.failed(err)
	}
	who := encode(id)
	if len(who) > maxIdentity {
		id.Groups = nil // nothing that a connection may do hangs on them
		who = encode(id)
	}
	answer.PrincipalID, answer.Context = id.Key(), map[string]string{identityKey: string(who)}
	return encode(answer), nil
}

// proof returns the token or the ticket in the URL. The authorizer is asked only
// if there is Auth, as the app has it, so that a ticket can stand there as well:
// it has none of a token's dots.
func (e *event) proof() (token, ticket usher.Secret) {
	token, ticket = usher.Secret(e.Query["Auth"]), usher.Secret(e.Query["ticket"])
	if ticket == "" && !strings.Contains(token.Reveal(), ".") {
		return "", token
	}
	return token, ticket
}

// whose returns whose a connection is, as the authorizer had it.
func (e *event) whose() (id usher.Identity, ok bool) {
	text, _ := e.Context.Authorizer[identityKey].(string)
	if text == "" || json.Unmarshal([]byte(text), &id) != nil || id.Kind != usher.UserIdentity {
		return usher.Identity{}, false
	}
	return id, true
}

// of returns the event as signaling knows it.
func (s *Service) of(e *event, id usher.Identity) signaling.Event {
	endpoint := s.config.Endpoint
	if endpoint == "" {
		endpoint = "https://" + e.Context.DomainName + "/" + e.Context.Stage
	}
	return signaling.Event{
		Connection: e.Context.ConnectionID, Endpoint: endpoint, App: id.App, User: id.Key(), Message: e.Context.MessageID,
	}
}

// done is the answer to an event of a WebSocket, of which a client sees only
// whether it may connect.
type done struct {
	Status int    `json:"statusCode"`
	Body   string `json:"body,omitempty"`
}

func refusal(err error) []byte {
	failure := usher.AsError(err)
	body := encode(map[string]string{"code": failure.Code, "message": failure.Message})
	return encode(done{httpd.Status(failure.Kind), string(body)})
}

var errNoAuthorizer = usher.Errorf(usher.Unauthenticated, "credentials_required",
	"Nobody says who connects: the route $connect needs this function as its REQUEST authorizer.")

func (s *Service) connect(ctx context.Context, e *event) ([]byte, error) {
	id, ok := e.whose()
	if !ok {
		return refusal(errNoAuthorizer), nil
	}
	var subprotocols []string
	for _, value := range e.header("Sec-WebSocket-Protocol") {
		for name := range strings.SplitSeq(value, ",") {
			subprotocols = append(subprotocols, strings.TrimSpace(name))
		}
	}
	err := s.config.Remote.Connect(ctx, s.of(e, id), id, subprotocols)
	if kind := usher.AsError(err).Kind; err != nil && (kind == usher.Internal || kind == usher.Unavailable) {
		return nil, s.failed(err)
	}
	if err != nil {
		return refusal(err), nil
	}
	return encode(done{Status: 200}), nil
}

func (s *Service) message(ctx context.Context, e *event) ([]byte, error) {
	id, ok := e.whose()
	if !ok {
		return refusal(errNoAuthorizer), nil
	}
	data := []byte(e.Body)
	if e.Base64 {
		var err error
		if data, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
			data = nil // which is no message
		}
	}
	if err := s.config.Remote.Message(ctx, s.of(e, id), data); err != nil {
		return nil, s.failed(err)
	}
	return encode(done{Status: 200}), nil
}

func (s *Service) disconnect(ctx context.Context, e *event) ([]byte, error) {
	if id, ok := e.whose(); ok {
		if err := s.config.Remote.Disconnect(ctx, s.of(e, id)); err != nil {
			return nil, s.failed(err)
		}
	}
	return encode(done{Status: 200}), nil
}
