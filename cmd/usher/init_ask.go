package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"usher"
	"usher/internal/config"
	"usher/internal/identity"
)

// question is one of those that `usher init` asks. Its flag answers it, too.
type question struct {
	flag string
	// ask is the question, and why what the answer is for, a line.
	ask, why string
	// into is where the answer goes: a *string, *[]string or *bool.
	into any
	// usual is the answer of who gives none.
	usual string
	// needed says that without a terminal a flag has to answer it, or those of or.
	needed bool
	or     string
	// only says whether the question has a place, and with what; nil is always.
	only func() (bool, string)
	// moot says that it is answered already by another; nil is never.
	moot func() bool
	// derive changes the usual answer by those before; nil leaves it.
	derive func() string
	// check returns a sentence on an answer that will not do; nil takes any.
	check func() error
	// settings are those that the answer is for: what is wrong with them is wrong
	// with the answer.
	settings []string
	// again is how many questions before are asked again, too, if it will not do.
	again int
}

// given reports whether there is an answer.
func (q question) given() bool {
	switch into := q.into.(type) {
	case *string:
		return *into != ""
	case *[]string:
		return len(*into) > 0
	default:
		return *q.into.(*bool)
	}
}

// put takes an answer as people write it.
func (q question) put(text string) error {
	switch into := q.into.(type) {
	case *string:
		*into = text
	case *[]string:
		*into = strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
	case *bool:
		switch strings.ToLower(text) {
		case "y", "yes":
			*into = true
		case "n", "no", "":
			*into = false
		default:
			return errors.New("say yes or no")
		}
	}
	return nil
}

func (q question) usually() string {
	if q.derive != nil {
		return q.derive()
	}
	return q.usual
}

// answer gets what no flag says: on a terminal by asking, and elsewhere what is
// usual. Without a terminal all that is missing is told at once.
func (c *initCommand) answer(ctx context.Context, env environment) error {
	a := &asking{c: c, env: env, in: bufio.NewReader(env.Stdin), asks: env.Terminal && !c.Yes}
	a.questions = c.questions(ctx, a, env)
	if !a.asks {
		return a.settle()
	}
	fmt.Fprint(env.Stderr, "Enter takes what is in brackets. Nothing is changed before the last answer; Ctrl-C ends it.\n")
	return a.all(ctx)
}

// asking is a conversation.
type asking struct {
	c         *initCommand
	env       environment
	in        *bufio.Reader
	asks      bool
	questions []question
}

// settle takes what is usual where no flag says otherwise.
func (a *asking) settle() error {
	var missing []string
	for _, q := range a.questions {
		has, with := q.place()
		switch {
		case !has && q.given():
			return fmt.Errorf("--%s is for %s only", q.flag, with)
		case !has || q.given() || q.moot != nil && q.moot():
		case q.needed:
			if q.or != "" {
				q.flag += " (or " + q.or + ")"
			}
			missing = append(missing, "--"+q.flag)
		default:
			if err := q.put(q.usually()); err != nil {
				return fmt.Errorf("--%s: %w", q.flag, err)
			}
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("nobody can be asked here, so say it by flags: add %s (see 'usher init --help')", strings.Join(missing, ", "))
	}
	for _, q := range a.questions {
		if has, _ := q.place(); !has || q.check == nil {
			continue
		}
		if err := q.check(); err != nil {
			return fmt.Errorf("--%s: %w", q.flag, err)
		}
	}
	problems, err := a.problems()
	for i, q := range a.questions {
		if err := q.of(problems); err != nil {
			return fmt.Errorf("%s: %w", a.flags(i), err)
		}
	}
	return err
}

// flags are those of a question, and of those before that go with it: what is
// wrong may be any of them.
func (a *asking) flags(i int) string {
	var names []string
	for _, q := range a.questions[i-a.questions[i].again : i+1] {
		names = append(names, "--"+q.flag)
	}
	return strings.Join(names, " and ")
}

// place reports whether a question has one, and else what it goes with.
func (q question) place() (has bool, with string) {
	if q.only == nil {
		return true, ""
	}
	return q.only()
}

// all asks everything that is to be asked. An answer by a flag that will not do
// ends it, and one from the terminal is asked for again.
func (a *asking) all(ctx context.Context) error {
	byFlag := make(map[string]bool)
	for _, q := range a.questions {
		byFlag[q.flag] = q.given()
	}
	for i := 0; i < len(a.questions); i++ {
		q := a.questions[i]
		has, with := q.place()
		switch {
		case !has && q.given() && byFlag[q.flag]:
			return fmt.Errorf("--%s is for %s only", q.flag, with)
		case !has || !byFlag[q.flag] && q.moot != nil && q.moot():
			continue
		case byFlag[q.flag]:
			if err := a.wrong(q); err != nil {
				return fmt.Errorf("--%s: %w", q.flag, err)
			}
			continue
		}
		text, err := a.line(ctx, q)
		if err != nil {
			return err
		}
		if err = q.put(text); err == nil && q.needed && text == "" {
			err = errors.New("there is no usual answer to this")
		}
		if err == nil {
			err = a.wrong(q)
		}
		if err != nil {
			fmt.Fprintf(a.env.Stderr, "  That will not do: %v.\n", err)
			_ = q.put("") // what will not do is no answer
			i -= q.again + 1
		}
	}
	return nil
}

// line asks one question and returns the answer.
func (a *asking) line(ctx context.Context, q question) (string, error) {
	usual := q.usually()
	fmt.Fprintf(a.env.Stderr, "\n%s (--%s)\n  %s\n", q.ask, q.flag, q.why)
	text, err := a.read(ctx, usual)
	if err != nil {
		return "", fmt.Errorf("there was no answer to --%s: %w", q.flag, err)
	}
	if text == "" {
		return usual, nil
	}
	return text, nil
}

// read reads a line. When ctx ends, nobody waits for it any more.
func (a *asking) read(ctx context.Context, usual string) (string, error) {
	if usual != "" {
		fmt.Fprintf(a.env.Stderr, "[%s] ", usual)
	}
	fmt.Fprint(a.env.Stderr, "> ")
	type answer struct {
		text string
		err  error
	}
	come := make(chan answer, 1)
	go func() {
		text, err := a.in.ReadString('\n')
		come <- answer{strings.TrimSpace(text), err}
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(a.env.Stderr)
		return "", context.Cause(ctx)
	case got := <-come:
		if errors.Is(got.err, io.EOF) {
			got.err = errors.New("the input has ended")
		}
		return got.text, got.err
	}
}

// wrong returns what is wrong with an answer: what its own check says, or what a
// server would say of its settings.
func (a *asking) wrong(q question) error {
	if q.check != nil {
		if err := q.check(); err != nil {
			return err
		}
	}
	problems, err := a.problems()
	return errors.Join(err, q.of(problems))
}

// problems are what a server would say of the answers so far.
func (a *asking) problems() ([]usher.FieldProblem, error) {
	text, err := a.c.text(nil)
	if err != nil {
		return nil, err
	}
	_, _, err = config.Load(config.Options{Path: a.c.Config, Text: text, Environ: a.env.Environ})
	if found, ok := errors.AsType[*config.Error](err); ok {
		return found.Problems, nil
	}
	return nil, err
}

// of returns the first of the problems that is one of the question's settings.
func (q question) of(problems []usher.FieldProblem) error {
	for _, p := range problems {
		for _, s := range q.settings {
			if p.Field == s || strings.HasPrefix(p.Field, s+".") || strings.HasPrefix(p.Field, s+"[") {
				return errors.New(ofLine.ReplaceAllString(p.String(), ""))
			}
		}
	}
	return nil
}

// ofLine is where in the file a mistake is: in none yet that anybody could see.
var ofLine = regexp.MustCompile(` \(line \d+\)$`)

// issuerTime is how long an issuer may take to be asked.
const issuerTime = 15 * time.Second

// reach returns why the issuer can't be asked for its keys, unless it shall not
// be, or whoever is at the terminal takes it all the same.
func (a *asking) reach(ctx context.Context) error {
	if a.c.Offline {
		return nil
	}
	asked, cancel := context.WithTimeout(ctx, issuerTime)
	defer cancel()
	// Whom its tokens are for makes no difference to where its keys are.
	entry := identity.IssuerConfig{Issuer: a.c.Issuer, ClientIDs: []string{"any"}}
	issuers, err := identity.NewIssuers(identity.IssuersConfig{Issuers: []identity.IssuerConfig{entry}, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil // what is wrong with its address its settings tell
	}
	defer issuers.Close()
	if err = issuers.Probe(asked, a.c.Issuer); err == nil {
		return nil
	}
	err = fmt.Errorf("its keys can't be had, without which nobody can sign in: %w", err)
	if !a.asks {
		return fmt.Errorf("%w; see that this machine reaches it and that its address is right, or add --offline", err)
	}
	fmt.Fprintf(a.env.Stderr, "  %v.\n  Take it all the same?\n", err)
	answer, reading := a.read(ctx, "no")
	if answer = strings.ToLower(answer); reading == nil && (answer == "y" || answer == "yes") {
		return nil
	}
	return errors.New("say another, or nothing for none")
}

// absolute makes a path one that is the same wherever a server is started.
func absolute(path *string) error {
	if *path == "" {
		return nil
	}
	full, err := filepath.Abs(*path)
	*path = full
	return err
}

// kept makes the place of a secret one that is the same wherever a server is
// started. What is no place may be the secret itself, and is not repeated.
func kept(secret *string) error {
	path, isFile := strings.CutPrefix(*secret, "file:")
	switch {
	case isFile && path != "":
		err := absolute(&path)
		*secret = "file:" + path
		return err
	case strings.HasPrefix(*secret, "env:"):
		return nil
	}
	return errors.New("say where the secret is kept, and not the secret: file:PATH or env:NAME")
}

// portOf is the port that callers of a URL come to.
func portOf(address string) string {
	u, err := url.Parse(address)
	switch {
	case err == nil && u.Port() != "":
		return u.Port()
	case err == nil && u.Scheme == "http":
		return "80"
	default:
		return "443"
	}
}

// hostOf is the host of a URL.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// listenHTTP is where to listen for plain HTTP by default: not where callers who
// leave the port out would not come.
func (c *initCommand) listenHTTP() string {
	switch {
	case c.TLS == byProxy:
		return "127.0.0.1:8080"
	case portOf(c.URL) == "443":
		return ":80"
	default:
		return "off"
	}
}

// isGroupOrUser reports whether text names somebody at an issuer.
func isGroupOrUser(text string) bool {
	kind, name, _ := strings.Cut(text, ":")
	return (kind == "user" || kind == "group") && name != ""
}

// isCognito reports whether an issuer is a user pool of Amazon Cognito.
func isCognito(issuer string) bool {
	u, err := url.Parse(issuer)
	return err == nil && strings.HasPrefix(u.Hostname(), "cognito-idp.") && strings.Contains(u.Hostname(), ".amazonaws.com")
}

// isTerminal reports whether somebody may be at the other end of a file.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&fs.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err == nil && !os.SameFile(info, null)
}
