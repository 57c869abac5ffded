package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"usher/client"
)

// apiCommand is `usher api`: everything that an operator may do and that has no
// command of its own, also where there is no curl.
type apiCommand struct {
	dataFlag
	Method string `arg:"" enum:"GET,POST,PUT,PATCH,DELETE" help:"GET, POST, PUT, PATCH or DELETE."`
	Path   string `arg:"" help:"What to call, with its query: /api/v1/health. What is in braces is escaped: '/api/v1/users/{user:https://id.example.com#42}'. GET /api/v1/openapi.yaml tells what there is."`
	Body   string `arg:"" optional:"" help:"JSON to send; - reads it from standard input, which keeps secrets off the command line."`
}

// braces are around what is to be escaped in a path.
var braces = regexp.MustCompile(`\{[^{}]*\}`)

// address is the path with what is in braces escaped, as a segment and in a
// query alike: nobody can do that by hand at night.
func (c apiCommand) address() string {
	return braces.ReplaceAllStringFunc(c.Path, func(text string) string {
		return strings.ReplaceAll(url.QueryEscape(text[1:len(text)-1]), "+", "%20")
	})
}

// maxBody is more than the API takes, in bytes.
const maxBody = 1 << 20

// Run prints the answer, and fails unless it is a success.
func (c apiCommand) Run(ctx context.Context, env environment) error {
	if !strings.HasPrefix(c.Path, "/") {
		return fmt.Errorf("say what to call by its path, as in: usher api GET /api/v1/health, not %q", c.Path)
	}
	body := []byte(c.Body)
	if c.Body == "-" {
		var err error
		if body, err = io.ReadAll(io.LimitReader(env.Stdin, maxBody)); err != nil {
			return err
		}
	}
	if len(body) > 0 && !json.Valid(body) {
		return errors.New("what is to be sent is not JSON; write it as one word of the shell: '{\"name\": \"standup\"}'")
	}
	return c.reach(ctx, env, func(transport http.RoundTripper) error {
		req, err := http.NewRequestWithContext(ctx, c.Method, controlBase+c.address(), bytes.NewReader(body))
		if err != nil {
			return err
		}
		if len(body) > 0 {
			req.Header.Set("Content-Type", "application/json")
		}
		resp, err := transport.RoundTrip(req) // what is not the API may redirect, and is not followed
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		answer, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		if resp.StatusCode < 200 || resp.StatusCode > 299 {
			return refusedCall(resp.Status, answer)
		}
		return printAnswer(env.Stdout, answer)
	})
}

// refusedCall is what the server said instead of doing what it was asked for.
func refusedCall(status string, answer []byte) error {
	var e client.Error
	if json.Unmarshal(answer, &e.Problem) == nil && e.Code != "" {
		return &e
	}
	return fmt.Errorf("the answer was %s: %s", status, cmp.Or(strings.TrimSpace(string(answer)), "nothing"))
}

// printAnswer writes JSON so that people can read it, and all else as it is.
func printAnswer(out io.Writer, answer []byte) error {
	var readable bytes.Buffer
	if json.Indent(&readable, answer, "", "  ") != nil || readable.Len() == 0 {
		_, err := out.Write(answer)
		return err
	}
	_, err := fmt.Fprintln(out, strings.TrimSpace(readable.String()))
	return err
}
