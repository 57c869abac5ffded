package api_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/client"
	"usher/internal/api"
	"usher/internal/httpd"
	"usher/internal/identity"
)

// document is read once for all tests, since that takes a while.
var document = sync.OnceValues(func() (*openapi3.T, error) {
	return openapi3.NewLoader().LoadFromFile("openapi.yaml")
})

func loadSpec(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestSpecIsValidWithItsExamples(t *testing.T) {
	doc := loadSpec(t)
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	if !doc.IsOpenAPI31OrLater() {
		t.Errorf("got version %s, want 3.1", doc.OpenAPI)
	}
}

func TestSpecIsServed(t *testing.T) {
	s := newServer(t)
	want, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got := s.send(request{caller: owner, method: "GET", path: "/api/v1/openapi.yaml"})
	if got.status != http.StatusOK || !bytes.Equal(got.body, want) {
		t.Errorf("got status %d and %d bytes, want 200 and %d bytes", got.status, len(got.body), len(want))
	}
}

// Every route is in the document, and the other way round, with the same
// callers and scopes.
func TestSpecAndRoutesAreTheSame(t *testing.T) {
	got, want := map[string]string{}, map[string]string{}
	all := api.New(api.Config{DevLogin: &identity.DevLogin{}})
	for _, r := range slices.Concat(all.Dialect().Routes, all.DevDialect().Routes) {
		got[r.Pattern] = who(r)
	}
	doc := loadSpec(t)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			want[method+" "+path] = whoInSpec(doc, op)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes differ from the document (-document +routes):\n%s", diff)
	}
}

func who(r httpd.Route) string {
	if r.Caller == httpd.Anyone {
		return "anyone"
	}
	return "known " + string(r.Scope)
}

func whoInSpec(doc *openapi3.T, op *openapi3.Operation) string {
	security := doc.Security
	if op.Security != nil {
		security = *op.Security
	}
	if len(security) == 0 {
		return "anyone"
	}
	return "known " + strings.Join(security[0]["bearer"], " ")
}

// Nobody and nonsense are refused by every route; those that anyone may call
// ask for another proof, or for one at all.
func TestNoRouteServesWhoIsNotKnown(t *testing.T) {
	s := newServer(t)
	all := api.New(api.Config{DevLogin: &identity.DevLogin{}})
	for _, r := range slices.Concat(all.Dialect().Routes, all.DevDialect().Routes) {
		path := regexp.MustCompile(`\{[a-z]+\}`).ReplaceAllString(r.Path(), string(usher.SystemIDs().New()))
		for _, token := range []string{nobody, "nonsense", "usher_nonsense", "a.b.c"} {
			body, want := "{}", []int{http.StatusUnauthorized}
			switch {
			case r.Pattern == "GET /api/v1/web/config": // how to become known
				body, want = "", []int{http.StatusOK}
			case r.Caller == httpd.Anyone:
				want = []int{http.StatusNotFound, http.StatusBadRequest}
			}
			got := s.send(request{caller: token, method: r.Method(), path: path, body: body})
			if !slices.Contains(want, got.status) {
				t.Errorf("%s as %q: got %d, want one of %d: %s", r.Pattern, token, got.status, want, got.body)
			}
		}
	}
}

// The document names exactly the fields of the wire types, and requires those
// that are always there.
func TestSpecAndWireTypesAreTheSame(t *testing.T) {
	doc := loadSpec(t)
	for name, value := range map[string]any{
		"Room": client.Room{}, "RoomPage": client.RoomPage{}, "Participant": client.Participant{},
		"Invited": client.Invited{}, "ParticipantPage": client.ParticipantPage{}, "Claimed": client.Claimed{},
		"Client": client.Client{}, "ClientPage": client.ClientPage{}, "Problem": client.Problem{}, "FieldProblem": usher.FieldProblem{},
		"CreateRoomRequest": client.CreateRoomRequest{}, "ChangeRoomRequest": client.ChangeRoomRequest{},
		"EndRequest": client.EndRequest{}, "AddParticipantRequest": client.AddParticipantRequest{},
		"ClaimRequest": client.ClaimRequest{}, "AddClientRequest": client.AddClientRequest{}, "RotateClientRequest": client.RotateClientRequest{},
		"KeyedClient": client.KeyedClient{}, "Member": client.Member{}, "MemberPage": client.MemberPage{}, "PutMemberRequest": client.PutMemberRequest{},
		"Invite": client.Invite{}, "CreatedInvite": client.CreatedInvite{}, "CreateInviteRequest": client.CreateInviteRequest{},
		"InvitePage": client.InvitePage{}, "RedeemRequest": client.RedeemRequest{}, "Redeemed": client.Redeemed{}, "Guest": client.Guest{},
		"Ban": client.Ban{}, "BanRequest": client.BanRequest{}, "UnbanRequest": client.UnbanRequest{}, "BanPage": client.BanPage{},
		"Taking": client.Taking{}, "RevokeRequest": client.RevokeRequest{}, "TakingPage": client.TakingPage{},
		"Event": client.Event{}, "Decision": client.Decision{}, "EventPage": client.EventPage{},
		"Ejection": client.Ejection{}, "EjectionList": client.EjectionList{}, "Occupancy": client.Occupancy{}, "OccupancyList": client.OccupancyList{},
		"Explanation": client.Explanation{}, "Figures": client.Figures{}, "Figure": client.Figure{}, "Latency": client.Latency{},
		"Health": client.Health{}, "HealthCheck": client.HealthCheck{}, "Configuration": client.Configuration{}, "Setting": client.Setting{},
		"Webhook": client.Webhook{}, "WebhookList": client.WebhookList{}, "ReplayRequest": client.ReplayRequest{},
		"Key": client.Key{}, "KeyList": client.KeyList{}, "Me": client.Me{}, "WebConfig": client.WebConfig{},
		"CredentialRequest": client.CredentialRequest{}, "Credential": client.Credential{}, "InspectRequest": client.InspectRequest{},
		"User": client.User{}, "UserPage": client.UserPage{}, "Contact": client.Contact{}, "ContactList": client.ContactList{},
		"AddContactRequest": client.AddContactRequest{}, "Ticket": client.Ticket{},
		"MissedCall": client.MissedCall{}, "MissedCallPage": client.MissedCallPage{}, "AcknowledgeCallsRequest": client.AcknowledgeCallsRequest{},
		"Inspection": client.Inspection{}, "ICEServers": client.ICEServers{}, "ICEServer": client.ICEServer{},
	} {
		got, want := map[string]bool{}, map[string]bool{}
		goFields(reflect.TypeOf(value), got)
		specFields(doc.Components.Schemas[name].Value, want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-document +type; true is required):\n%s", name, diff)
		}
	}
}

func goFields(t reflect.Type, fields map[string]bool) {
	for f := range t.Fields() {
		if f.Anonymous {
			goFields(f.Type, fields)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		fields[name] = options == ""
	}
}

func specFields(s *openapi3.Schema, fields map[string]bool) {
	for _, part := range s.AllOf {
		specFields(part.Value, fields)
	}
	for name := range s.Properties {
		fields[name] = slices.Contains(s.Required, name)
	}
}

// recorder is a transport that holds everything that passes against the
// document: every answer, and every request that was accepted.
type recorder struct {
	t    *testing.T
	next http.RoundTripper
	doc  *openapi3.T
	mux  *http.ServeMux // finds operations as the server does

	mu   sync.Mutex
	seen map[string]bool // "METHOD /path status"
}

func newRecorder(t *testing.T, next http.RoundTripper) *recorder {
	rec := &recorder{t: t, next: next, doc: loadSpec(t), mux: http.NewServeMux(), seen: make(map[string]bool)}
	for path, item := range rec.doc.Paths.Map() {
		for method := range item.Operations() {
			rec.mux.HandleFunc(method+" "+path, func(http.ResponseWriter, *http.Request) {})
		}
	}
	return rec
}

// recorded returns the sorted operations and statuses that have passed.
func (rec *recorder) recorded() []string {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return slices.Sorted(maps.Keys(rec.seen))
}

func (rec *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	sent, err := drain(&req.Body)
	if err != nil {
		return nil, err
	}
	resp, err := rec.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	got, err := drain(&resp.Body)
	if err != nil {
		return nil, err
	}
	if err := rec.check(req, sent, resp, got); err != nil {
		rec.t.Errorf("%s %s answered %d, against the document: %v\nsent: %s\ngot: %s", req.Method, req.URL, resp.StatusCode, err, sent, got)
	}
	return resp, nil
}

// drain reads a body and puts a copy in its place.
func drain(body *io.ReadCloser) ([]byte, error) {
	if *body == nil {
		return nil, nil
	}
	data, err := io.ReadAll(*body)
	if err != nil {
		return nil, err
	}
	err = (*body).Close()
	*body = io.NopCloser(bytes.NewReader(data))
	return data, err
}

func (rec *recorder) check(req *http.Request, sent []byte, resp *http.Response, got []byte) error {
	probe := httptest.NewRequest(req.Method, req.URL.String(), bytes.NewReader(sent))
	probe.Header = req.Header.Clone()
	if len(sent) == 0 {
		probe.Body = http.NoBody
	}
	_, pattern := rec.mux.Handler(probe)
	method, path, routed := strings.Cut(pattern, " ")
	if resp.StatusCode == http.StatusMethodNotAllowed || bytes.Contains(got, []byte(`"code":"route_not_found"`)) {
		return nil // an answer of no operation
	}
	if !routed {
		return errors.New("the document has no such operation")
	}
	rec.mux.ServeHTTP(httptest.NewRecorder(), probe) // sets the path's values
	probe.Body = io.NopCloser(bytes.NewReader(sent))
	item := rec.doc.Paths.Value(path)
	op := item.GetOperation(method)
	params := make(map[string]string)
	for _, p := range append(slices.Clone(item.Parameters), op.Parameters...) {
		if p.Value.In == "path" {
			params[p.Value.Name] = probe.PathValue(p.Value.Name)
		}
	}
	options := &openapi3filter.Options{
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, MultiError: true,
		SkipSettingDefaults: true, RejectWhenRequestBodyNotSpecified: true,
	}
	input := &openapi3filter.RequestValidationInput{
		Request: probe, PathParams: params, Options: options,
		Route: &routers.Route{Spec: rec.doc, Path: path, PathItem: item, Method: method, Operation: op},
	}
	if resp.StatusCode < 300 {
		if err := openapi3filter.ValidateRequest(rec.t.Context(), input); err != nil {
			return fmt.Errorf("request: %w", err)
		}
	}
	rec.mu.Lock()
	rec.seen[fmt.Sprintf("%s %d", pattern, resp.StatusCode)] = true
	rec.mu.Unlock()
	answer := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: resp.StatusCode, Header: resp.Header, Options: options,
	}
	if err := openapi3filter.ValidateResponse(rec.t.Context(), answer.SetBodyBytes(got)); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}
