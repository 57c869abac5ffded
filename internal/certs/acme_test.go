package certs_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"usher/internal/certs"
	"usher/internal/certs/certstest"
)

const usherHost, roomsHost = "usher.example.com", "rooms.example.com"

// seal is a sealer that hides nothing and notices every change.
type seal struct{ key ed25519.PrivateKey }

func newSeal() seal { return seal{ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))} }

func (s seal) Seal(plain, purpose []byte) []byte {
	signature := ed25519.Sign(s.key, slices.Concat(purpose, plain))
	return []byte(hex.EncodeToString(slices.Concat(signature, plain)))
}

func (s seal) Open(sealed, purpose []byte) ([]byte, error) {
	text, err := hex.DecodeString(string(sealed))
	if err != nil || len(text) < ed25519.SignatureSize {
		return nil, errors.New("not sealed")
	}
	signature, plain := text[:ed25519.SignatureSize], text[ed25519.SignatureSize:]
	if !ed25519.Verify(s.key.Public().(ed25519.PublicKey), slices.Concat(purpose, plain), signature) {
		return nil, errors.New("sealed for something else")
	}
	return plain, nil
}

// shown is a server with certificates from an authority.
type shown struct {
	*certs.ACME
	authority *certstest.Authority
	config    certs.ACMEConfig
	log       *bytes.Buffer
	// later is by how much its clock is ahead.
	later         atomic.Int64
	plain, secure *httptest.Server
	// toOthers is set if what only a configured host is told was told to another.
	toOthers atomic.Bool
}

// show starts a server whose authority is down.
func show(t *testing.T, hosts ...string) *shown {
	t.Helper()
	s := &shown{authority: certstest.Start(t), log: new(bytes.Buffer)}
	s.config = certs.ACMEConfig{
		Domains: hosts, Email: "ops@example.com", Directory: s.authority.URL, CAFile: s.authority.CAFile,
		Dir: filepath.Join(t.TempDir(), "acme"), Sealer: newSeal(),
		Now:    func() time.Time { return time.Now().Add(time.Duration(s.later.Load())) },
		Logger: slog.New(slog.NewTextHandler(s.log, nil)),
	}
	s.restart(t)
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "something else") })
	s.plain = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		elsewhere, answer := r.Clone(r.Context()), httptest.NewRecorder()
		elsewhere.Host = "other.example.com"
		if s.Handler(next).ServeHTTP(answer, elsewhere); strings.HasPrefix(r.URL.Path, "/.well-known/acme-challenge/") && answer.Code != http.StatusNotFound {
			s.toOthers.Store(true)
		}
		s.Handler(next).ServeHTTP(w, r)
	}))
	t.Cleanup(s.plain.Close)
	s.secure = httptest.NewUnstartedServer(next)
	s.secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	s.secure.TLS = &tls.Config{
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return &tls.Config{GetCertificate: s.GetCertificate, NextProtos: []string{"http/1.1", "acme-tls/1"}}, nil
		},
	}
	s.secure.StartTLS()
	t.Cleanup(s.secure.Close)
	return s
}

// restart reads everything anew, as a process does that starts.
func (s *shown) restart(t *testing.T) {
	t.Helper()
	var err error
	if s.ACME, err = certs.NewACME(s.config); err != nil {
		t.Fatal(err)
	}
}

func (s *shown) up() {
	s.authority.Up(certstest.Port(s.plain.Listener), certstest.Port(s.secure.Listener))
}

// renew has the server get what is due. The authority has time limits of its own,
// which a machine that has much to do may exceed.
func (s *shown) renew(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; {
		s.Renew(t.Context())
		if done() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no certificate was got: %s", s.log)
		}
		_ = s.Reload()
	}
}

func (s *shown) all() bool {
	return !slices.ContainsFunc(s.States(), func(state certs.State) bool { return state.Leaf == nil || state.Err != nil })
}

// leaf is what a caller who asks for a host is shown and trusts.
func (s *shown) leaf(t *testing.T, host string) *x509.Certificate {
	t.Helper()
	conn, err := tls.Dial("tcp", s.secure.Listener.Addr().String(), &tls.Config{RootCAs: s.authority.Roots, ServerName: host})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0]
}

func TestTheAuthorityIsConvincedInEitherWay(t *testing.T) {
	const nobody = 1 // a port
	for name, ports := range map[string]func(plain, secure int) (int, int){
		"by a handshake": func(_, secure int) (int, int) { return nobody, secure },
		"by a request":   func(plain, _ int) (int, int) { return plain, nobody },
	} {
		t.Run(name, func(t *testing.T) {
			s := show(t, usherHost, roomsHost)
			s.authority.Up(ports(certstest.Port(s.plain.Listener), certstest.Port(s.secure.Listener)))
			s.renew(t, s.all)
			for _, host := range []string{usherHost, roomsHost} {
				if got := s.leaf(t, host).DNSNames; !slices.Equal(got, []string{host}) {
					t.Errorf("%s is shown one for %q", host, got)
				}
			}
			if s.toOthers.Load() {
				t.Error("what proves that a host leads here is told who asks for another")
			}
		})
	}
}

func TestWhereTheHostDoesNotLeadHereNoCertificateIsGot(t *testing.T) {
	s := show(t, usherHost)
	s.authority.Up(1, 1)
	s.Renew(t.Context())
	state := s.States()[0]
	if err := state.Check(time.Now()); state.Leaf != nil || err == nil || !strings.Contains(err.Error(), "tls-alpn-01") || !strings.Contains(err.Error(), "http-01") {
		t.Errorf("got %+v", state)
	}
	if said := s.log.String(); !strings.Contains(said, "see that the name leads to this machine") || !strings.Contains(said, usherHost) {
		t.Errorf("the log does not say what to do: %s", said)
	}
}

func TestAnAuthorityThatIsDownIsAskedLater(t *testing.T) {
	s := show(t, usherHost)
	s.Renew(t.Context())
	if state := s.States()[0]; state.Leaf != nil || state.Err == nil {
		t.Fatalf("got %+v", state)
	}
	if _, err := s.GetCertificate(&tls.ClientHelloInfo{ServerName: usherHost}); err == nil {
		t.Error("there is a certificate")
	}
	asked := s.authority.Asked()
	s.Renew(t.Context())
	if s.authority.Asked() != asked || strings.Count(s.log.String(), "no certificate was got") != 1 {
		t.Errorf("it was asked again at once: %s", s.log)
	}
	s.up()
	s.Renew(t.Context())
	if s.authority.Asked() != asked {
		t.Error("it was asked again at once")
	}
	s.later.Add(int64(time.Minute))
	s.renew(t, s.all)
	s.leaf(t, usherHost)
}

func TestThePauseAfterFailuresGrows(t *testing.T) {
	s := show(t, usherHost)
	s.config.Directory = "https://127.0.0.1:1/directory" // where nobody answers
	s.restart(t)
	minutes := 0
	var paused []int
	for last := 0; minutes < 300; minutes++ {
		s.log.Reset()
		s.Renew(t.Context())
		if strings.Contains(s.log.String(), "no certificate was got") {
			paused, last = append(paused, minutes-last), minutes
		}
		// A second more, so that it is past what was entered a moment later.
		s.later.Add(int64(time.Minute + time.Second))
	}
	if want := []int{0, 1, 2, 4, 8, 16, 32, 60, 60, 60}; !slices.Equal(paused[:min(len(want), len(paused))], want) {
		t.Errorf("minutes between attempts = %v, want %v", paused, want)
	}
}

func TestWhatIsGotIsRenewedInItsLastThird(t *testing.T) {
	s := show(t, usherHost)
	s.up()
	s.renew(t, s.all)
	before := s.leaf(t, usherHost)
	asked := s.authority.Asked()
	s.later.Store(int64(59 * day))
	s.Renew(t.Context())
	if s.authority.Asked() != asked {
		t.Error("it is renewed in the second third of its 90 days")
	}
	s.later.Store(int64(61 * day))
	s.authority.Down()
	s.Renew(t.Context())
	if !s.leaf(t, usherHost).Equal(before) {
		t.Error("another is shown though the authority is down")
	}
	if state := s.States()[0]; state.Err == nil || state.Check(s.config.Now()) != nil {
		t.Errorf("with 29 days left: %+v, %v", state.Err, state.Check(s.config.Now()))
	}
	if err := s.States()[0].Check(time.Now().Add(80 * day)); err == nil || !strings.Contains(err.Error(), "it ends at") {
		t.Errorf("with 10 days left: %v", err)
	}
	if err := s.States()[0].Check(time.Now().Add(91 * day)); err == nil || !strings.Contains(err.Error(), "it ended at") {
		t.Errorf("after its end: %v", err)
	}
	_ = s.Reload()
	s.up() // and knows the account no more
	s.renew(t, s.all)
	after := s.leaf(t, usherHost)
	if after.Equal(before) || bytes.Equal(after.RawSubjectPublicKeyInfo, before.RawSubjectPublicKeyInfo) {
		t.Error("the former certificate is shown, or one with its key")
	}
}

func TestAfterARestartTheAuthorityIsNotAsked(t *testing.T) {
	s := show(t, usherHost, roomsHost)
	s.up()
	s.renew(t, s.all)
	before := s.leaf(t, roomsHost)
	asked := s.authority.Asked()
	s.restart(t)
	if !s.leaf(t, roomsHost).Equal(before) {
		t.Error("another certificate is shown")
	}
	s.Renew(t.Context())
	if s.authority.Asked() != asked {
		t.Error("the authority was asked")
	}
	s.config.Directory = strings.Replace(s.config.Directory, "/dir", "/other", 1)
	s.restart(t)
	if state := s.States()[0]; state.Leaf != nil {
		t.Error("what one authority gave is taken for what another did")
	}
}

// kept are the files that a server keeps.
func (s *shown) kept(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(s.config.Dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestWhatIsKeptIsSealedAndForItsOwner(t *testing.T) {
	s := show(t, usherHost)
	s.up()
	s.renew(t, s.all)
	files := s.kept(t)
	if len(files) != 2 {
		t.Errorf("the files are %q, want the account's and the certificate's", files)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
		if _, err := s.config.Sealer.Open(text, []byte("something else")); err == nil || bytes.Contains(text, []byte("PRIVATE KEY")) {
			t.Errorf("%s is not sealed for its purpose", file)
		}
	}
}

func TestWhatIsKeptAndWasTamperedWithIsGotAnew(t *testing.T) {
	s := show(t, usherHost, roomsHost)
	s.up()
	s.renew(t, s.all)
	var account, usher, rooms string
	for _, file := range s.kept(t) {
		switch filepath.Base(file) {
		case usherHost:
			usher = file
		case roomsHost:
			rooms = file
		default:
			account = file
		}
	}
	before := s.leaf(t, usherHost)
	for name, spoil := range map[string]func(t *testing.T){
		"a byte of it": func(t *testing.T) {
			overwrite(t, usher, func(text []byte) []byte { text[len(text)/2] ^= 1; return text })
		},
		"cut short":         func(t *testing.T) { overwrite(t, usher, func(text []byte) []byte { return text[:len(text)/2] }) },
		"nothing in it":     func(t *testing.T) { overwrite(t, usher, func([]byte) []byte { return nil }) },
		"another host's":    func(t *testing.T) { replaceWith(t, usher, rooms) },
		"the account's key": func(t *testing.T) { replaceWith(t, usher, account) },
		"and the account":   func(t *testing.T) { replaceWith(t, usher, rooms); replaceWith(t, account, rooms) },
	} {
		t.Run(name, func(t *testing.T) {
			s.log.Reset()
			spoil(t)
			s.restart(t)
			if state := s.States()[0]; state.Leaf != nil || !strings.Contains(s.log.String(), "can't be used") {
				t.Errorf("it is used: %+v, %s", state.Leaf, s.log)
			}
			if s.States()[1].Leaf == nil {
				t.Error("that of the other host is not")
			}
			s.renew(t, s.all)
			after := s.leaf(t, usherHost)
			if after.Equal(before) {
				t.Error("it is shown")
			}
			s.restart(t)
			if !s.leaf(t, usherHost).Equal(after) {
				t.Error("the new one was not kept")
			}
			before = after
		})
	}
}

func overwrite(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func replaceWith(t *testing.T, path, other string) {
	t.Helper()
	text, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	overwrite(t, path, func([]byte) []byte { return text })
}

func TestOnlyConfiguredHostsAreShownACertificate(t *testing.T) {
	s := show(t, usherHost, roomsHost)
	s.up()
	s.renew(t, s.all)
	asked := s.authority.Asked()
	for host, want := range map[string]string{
		usherHost: usherHost, "USHER.example.com": usherHost, roomsHost: roomsHost, "": usherHost,
		"other.example.com": "", "example.com": "", "x.usher.example.com": "", "usher.example.com.evil.example": "", "account": "", "../account": "",
	} {
		for _, protocols := range [][]string{nil, {"h2", "http/1.1"}, {"http/1.1", "acme-tls/1"}} {
			got, err := s.GetCertificate(&tls.ClientHelloInfo{ServerName: host, SupportedProtos: protocols})
			switch {
			case err != nil:
				t.Errorf("%q: %v", host, err)
			case want == "" && got != nil || want != "" && (got == nil || got.Leaf.VerifyHostname(want) != nil):
				t.Errorf("%q is shown %v, want that of %q", host, got, want)
			}
		}
		if got, err := s.GetCertificate(&tls.ClientHelloInfo{ServerName: host, SupportedProtos: []string{"acme-tls/1"}}); got != nil || err != nil {
			t.Errorf("%q is shown a proof that nobody asked for: %v", host, err)
		}
	}
	_, err := tls.Dial("tcp", s.secure.Listener.Addr().String(), &tls.Config{RootCAs: s.authority.Roots, ServerName: "other.example.com"})
	if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("a handshake for another host: %v", err)
	}
	if s.authority.Asked() != asked {
		t.Error("a handshake made the server ask the authority")
	}
}

func TestOnPlainHTTPOnlyTheAuthorityIsAnswered(t *testing.T) {
	s := show(t, usherHost)
	for path, want := range map[string]int{
		"/": 200, "/.well-known/acme-challenge": 200, "/.well-known/acme-challenge/": 404, "/.well-known/acme-challenge/x": 404,
	} {
		res, err := s.plain.Client().Get(s.plain.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, res.Status, want)
		}
	}
}

func TestAnAttemptEndsWithTheServer(t *testing.T) {
	s := show(t, usherHost)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.Renew(ctx)
	if state := s.States()[0]; state.Err != nil || s.log.Len() > 0 {
		t.Errorf("got %+v and %s", state, s.log)
	}
}

func TestProbe(t *testing.T) {
	s := show(t, usherHost)
	if s.Probe(t.Context()) == nil {
		t.Error("an authority that is down answers")
	}
	s.up()
	if err := s.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	s.config.CAFile = ""
	s.restart(t)
	s.Renew(t.Context())
	if !strings.Contains(s.log.String(), "server.tls.acme.caFile") {
		t.Errorf("of an authority that is not trusted the log says: %s", s.log)
	}
}
