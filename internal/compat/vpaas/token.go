package vpaas

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"

	"usher"
	"usher/internal/httpd"
	"usher/internal/identity"
)

// The parameters of a token request that have one possible value (RFC 7523,
// section 2.2).
const (
	grantType     = "client_credentials"
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// The error codes of a token request (RFC 6749, section 5.2).
const (
	codeInvalidClient    = "invalid_client"
	codeInvalidRequest   = "invalid_request"
	codeInvalidScope     = "invalid_scope"
	codeUnsupportedGrant = "unsupported_grant_type"
)

// tokenAnswer is the success of a token request.
type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	// ExpiresIn is in seconds. Clients renew a minute before.
	ExpiresIn int64  `json:"expires_in"`
	Scope     string `json:"scope"`
}

// token exchanges a client's assertion for an access token. All its refusals
// are 400, since VPaaS's client does not understand 401 here.
func (s *Service) token(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(r)
	if err != nil {
		return err
	}
	switch form.Get("grant_type") {
	case grantType:
	case "":
		return usher.Errorf(usher.Invalid, codeInvalidRequest, "The parameter grant_type is missing.")
	default:
		return usher.Errorf(usher.Invalid, codeUnsupportedGrant, "The only grant_type here is %s.", grantType)
	}
	if form.Get("client_assertion_type") != assertionType || form.Get("client_assertion") == "" {
		return identity.ErrInvalidClient
	}
	client, err := s.Assertions.Exchange(r.Context(), usher.Secret(form.Get("client_assertion")), s.audiences(r.Context()))
	if err != nil {
		return err
	}
	if named := form.Get("client_id"); named != "" && named != client.Identity.Subject {
		return identity.ErrInvalidClient
	}
	// VPaaS's clients ask for scopes in the assertion, others in the form.
	if asked := usher.ParseScopes(form.Get("scope")); len(asked) > 0 {
		if client.Identity.Scopes = asked.And(client.Identity.Scopes); len(client.Identity.Scopes) == 0 {
			return identity.ErrInvalidScope
		}
	}
	token, err := s.Tokens.Issue(client)
	if err != nil {
		return err
	}
	httpd.NoStore(w.Header())
	return httpd.JSON(w, http.StatusOK, tokenAnswer{
		AccessToken: token.Reveal(), TokenType: "Bearer",
		ExpiresIn: int64(s.Tokens.Lifetime.Seconds()), Scope: client.Identity.Scopes.String(),
	})
}

// audiences are the addresses of this endpoint, by which an assertion may call it.
func (s *Service) audiences(ctx context.Context) []string {
	if base := httpd.From(ctx).Base; base != "" {
		return append(slices.Clone(s.Audiences), base+"/oauth/token")
	}
	return s.Audiences
}

// readForm reads the body as a form in which no parameter occurs twice. The
// query is not part of it: a URL is no place for an assertion.
func readForm(r *http.Request) (url.Values, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return nil, usher.Errorf(usher.UnsupportedMedia, "media_type_unsupported", "Send the body as application/x-www-form-urlencoded.")
	}
	body, err := io.ReadAll(r.Body)
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, err
	}
	if err != nil {
		return nil, usher.Errorf(usher.Invalid, codeInvalidRequest, "The body ended early.")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, usher.Errorf(usher.Invalid, codeInvalidRequest, "The body is not a form.")
	}
	for _, values := range form {
		if len(values) > 1 {
			return nil, usher.Errorf(usher.Invalid, codeInvalidRequest, "A parameter occurs more than once.")
		}
	}
	return form, nil
}
