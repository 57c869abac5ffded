package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"usher/internal/signaling"
)

func TestWhatAPIGatewayAnswersIsUnderstood(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	var status int
	var kind string
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if auth := r.Header.Get("Authorization"); !strings.Contains(auth, "/us-east-1/execute-api/aws4_request") {
			t.Errorf("it is signed by %q", auth)
		}
		asked = append(asked, r.Method+" "+r.URL.EscapedPath()+" "+string(body))
		if kind != "" {
			w.Header().Set("X-Amzn-ErrorType", kind)
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	c := &connections{region: "us-east-1"}
	for name, tt := range map[string]struct {
		status int
		kind   string
		want   error // nil with a status below 300, and else any
	}{
		"all is well":              {200, "", nil},
		"no connection":            {410, "GoneException", signaling.ErrGone},
		"no connection, in short":  {410, "", signaling.ErrGone},
		"too much":                 {429, "LimitExceededException", signaling.ErrBusy},
		"too much, in short":       {429, "", signaling.ErrBusy},
		"another stage":            {403, "ForbiddenException", nil},
		"too large":                {413, "PayloadTooLargeException", nil},
		"something is wrong there": {500, "", nil},
	} {
		status, kind, asked = tt.status, tt.kind, nil
		err := c.Post(t.Context(), server.URL+"/dev", "d3Jf5e+IAM/Jdw=", []byte(`{"action":"pong"}`))
		if failed := tt.status >= 300; (err != nil) != failed || !errors.Is(err, tt.want) && tt.want != nil {
			t.Errorf("%s: got error %v, want %v", name, err, tt.want)
		}
		if tt.want == nil && (errors.Is(err, signaling.ErrGone) || errors.Is(err, signaling.ErrBusy)) {
			t.Errorf("%s: got error %v", name, err)
		}
		// It is asked once: who asks again knows whether that is any good.
		if want := `POST /dev/@connections/d3Jf5e%2BIAM%2FJdw%3D {"action":"pong"}`; len(asked) != 1 || strings.ReplaceAll(asked[0], "%40", "@") != want {
			t.Errorf("%s: asked was %q, want %q", name, asked, want)
		}
	}
	status, kind, asked = 204, "", nil
	if err := c.Close(t.Context(), server.URL+"/dev", "c="); err != nil || len(asked) != 1 || asked[0] != "DELETE /dev/@connections/c%3D " {
		t.Errorf("Close: asked was %q, error %v", asked, err)
	}
}
