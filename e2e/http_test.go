package e2e_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"usher/client"
)

// answer is what came back for one request.
type answer struct {
	Status int
	Header http.Header
	Body   string
}

// JSON reads the body.
func (a answer) JSON(t testing.TB) map[string]any {
	t.Helper()
	var value map[string]any
	if err := json.Unmarshal([]byte(a.Body), &value); err != nil {
		t.Fatalf("the answer with status %d is not a JSON object: %v\n%s", a.Status, err, a.Body)
	}
	return value
}

// text returns one field of a JSON body that must be text.
func (a answer) text(t testing.TB, field string) string {
	t.Helper()
	value, ok := a.JSON(t)[field].(string)
	if !ok {
		t.Fatalf("the answer with status %d has no text %q: %s", a.Status, field, a.Body)
	}
	return value
}

// send sends one request; headers are names and values in turn. A failure to
// get an answer is returned, since a server may be meant to be gone.
func send(c *http.Client, method, target, body string, headers ...string) (answer, error) {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, target, reader)
	if err != nil {
		return answer{}, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, fmt.Errorf("read the answer: %w", err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}, nil
}

// do sends one request to a path of the server, over HTTPS.
func (s *Server) do(method, path, body string, headers ...string) answer {
	s.t.Helper()
	a, err := send(s.Client, method, s.HTTPS+path, body, headers...)
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s", method, path, err, s.output.tail())
	}
	return a
}

// must is do for a request that has to have the status.
func (s *Server) must(status int, method, path, body string, headers ...string) answer {
	s.t.Helper()
	a := s.do(method, path, body, headers...)
	if a.Status != status {
		s.t.Fatalf("%s %s: got status %d, want %d: %s", method, path, a.Status, status, a.Body)
	}
	return a
}

func readAll(t testing.TB, resp *http.Response) []byte {
	t.Helper()
	defer func() { _ = resp.Body.Close() }()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		t.Errorf("read the answer: %v", err)
	}
	return b.Bytes()
}

// asJSON and asForm are headers.
var (
	asJSON = []string{"Content-Type", "application/json"}
	asForm = []string{"Content-Type", "application/x-www-form-urlencoded"}
)

// API is the Go client of the server, over plain HTTP, which costs a load test less.
func (s *Server) API() *client.API {
	s.t.Helper()
	api, err := client.New(s.HTTP, client.Options{Transport: s.Client.Transport})
	if err != nil {
		s.t.Fatal(err)
	}
	return api
}

// refusedWith returns the code of a refusal, or "" of nil and of any other error.
func refusedWith(err error) string {
	if e, ok := errors.AsType[*client.Error](err); ok {
		return e.Code
	}
	return ""
}

// place is a participant's place that nobody has claimed yet.
type place struct{ Room, Participant, Secret string }

// place makes one in the room.
func (s *Server) place(room string) place {
	s.t.Helper()
	a := s.must(http.StatusCreated, http.MethodPost, "/api/v1/rooms/"+room+"/participants", "{}", asJSON...)
	return place{room, a.text(s.t, "id"), s.Secret(a.text(s.t, "secret"))}
}

// room makes a room as the body says.
func (s *Server) room(body string) string {
	s.t.Helper()
	return s.must(http.StatusCreated, http.MethodPost, "/api/v1/rooms", body, asJSON...).text(s.t, "id")
}

func (p place) joinBody() string {
	return fmt.Sprintf(`{"participant_id":%q,"participant_secret":%q}`, p.Participant, p.Secret)
}

// join claims the place as the VPaaS SDK does.
func (s *Server) join(p place) (answer, error) {
	return send(s.Client, http.MethodPost, s.HTTP+"/v1/meetings/"+p.Room+"/join", p.joinBody(), asJSON...)
}

// joined claims a place that must be free.
func (s *Server) joined(p place) seat {
	s.t.Helper()
	a, err := s.join(p)
	if err != nil || a.Status != http.StatusOK {
		s.t.Fatalf("join: got status %d and error %v: %s", a.Status, err, a.Body)
	}
	return s.seat(p, a)
}

// seat is a claimed place.
type seat struct {
	place
	Location, Token string
}

func (s *Server) seat(p place, a answer) seat {
	s.t.Helper()
	return seat{p, a.text(s.t, "location"), s.Secret(a.text(s.t, "token"))}
}

// register makes a client of the server by its command line.
func (s *Server) register(publicKey string, more ...string) string {
	s.t.Helper()
	r := runUsher(s.t, append([]string{"client", "add", "--data", s.Data, "--name", fmt.Sprintf("test-%d", time.Now().UnixNano()), "--public-key", publicKey}, more...)...)
	if r.Status != 0 {
		s.t.Fatalf("usher client add: status %d\n%s", r.Status, r.Stderr)
	}
	return strings.TrimSpace(r.Stdout)
}

// allScopes are those of the seed.
const allScopes = "meeting:create meeting:read meeting:write participant:create participant:read participant:write"

// claims are what an assertion says.
type claims map[string]any

// assertion returns the claims that the seed's server signs.
func (s *Server) assertion(clientID string) claims {
	now := time.Now()
	return claims{
		"iss": clientID, "sub": clientID, "aud": s.HTTPS + "/oauth/token", "scope": allScopes,
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "jti": rand.Text(),
	}
}

// signRS384 signs as jsonwebtoken does with the algorithm RS384.
func signRS384(t testing.TB, key keyFiles, header string, c claims) string {
	t.Helper()
	signed := signingInput(t, header, c)
	digest := sha512.Sum384([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, readRSA(t, key), crypto.SHA384, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// signHS256 signs with a shared secret, whatever that may be.
func signHS256(t testing.TB, secret []byte, header string, c claims) string {
	t.Helper()
	signed := signingInput(t, header, c)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func signingInput(t testing.TB, header string, c claims) string {
	t.Helper()
	body, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(body)
}

const rs384 = `{"alg":"RS384","typ":"JWT"}`

func readRSA(t testing.TB, key keyFiles) *rsa.PrivateKey {
	t.Helper()
	block, _ := pem.Decode(readFile(t, key.Private))
	if block == nil {
		t.Fatalf("%s is no PEM", key.Private)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.(*rsa.PrivateKey)
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// tokenRequest is the form of section 4.4 of RFC 6749 with an assertion.
func tokenRequest(assertion string) string {
	return url.Values{
		"grant_type":            {"client_credentials"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {assertion},
	}.Encode()
}

// token gets an access token for a registered client.
func (s *Server) token(clientID string, key keyFiles) string {
	s.t.Helper()
	assertion := s.Secret(signRS384(s.t, key, rs384, s.assertion(clientID)))
	a := s.must(http.StatusOK, http.MethodPost, "/oauth/token", tokenRequest(assertion), asForm...)
	return s.Secret(a.text(s.t, "access_token"))
}

// bearer is the header that presents a token.
func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

// jwkOf is the public half of a key as a JWK.
func jwkOf(t testing.TB, key keyFiles) string {
	t.Helper()
	public := readRSA(t, key).PublicKey
	return fmt.Sprintf(`{"kty":"RSA","n":%q,"e":"AQAB"}`, base64.RawURLEncoding.EncodeToString(public.N.Bytes()))
}

// decodeSegment returns what a part of a token says.
func decodeSegment(t testing.TB, segment string) string {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func claimsOf(t testing.TB, payload string) claims {
	t.Helper()
	var c claims
	if err := json.Unmarshal([]byte(payload), &c); err != nil {
		t.Fatal(err)
	}
	return c
}
