//go:build packages

package e2e_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"usher/client"
)

// These tests run what is in deploy with the programs that it is for. They listen
// where a server would, so that scripts/check-packages gives them a network of
// their own, in which these are the names and addresses of this machine.
const (
	packagedHost   = "usher.example.com"
	packagedAt     = "198.51.100.1"
	packagedCaller = "198.51.100.7"
)

// program runs a program, which ends with the test.
func program(t *testing.T, env []string, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(environ(), env...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended already
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, log.Bytes()[max(0, log.Len()-4000):])
		}
	})
}

// eventually tries something until it works.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	limit := time.After(startTime)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// composed starts a server as deploy/compose has it, and the proxy in front of it
// by the command that is there. It differs in the addresses, and in who signs
// the certificate, whose file is returned.
func composed(t *testing.T, more string, env ...string) (s *Server, root string) {
	t.Helper()
	var compose struct {
		Services map[string]struct{ Command string }
	}
	if err := yaml.Unmarshal(readFile(t, "../deploy/compose/compose.yaml"), &compose); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	command := strings.NewReplacer("${USHER_HOST}", packagedHost, "usher:8080", "127.0.0.1:8080").Replace(compose.Services["proxy"].Command)
	args := strings.Fields(command + " --internal-certs")
	// Without a path it finds nothing to put its authority among the machine's with.
	program(t, []string{"XDG_DATA_HOME=" + home, "XDG_CONFIG_HOME=" + home, "PATH=/nowhere"}, args[0], args[1:]...)
	root = filepath.Join(home, "caddy", "pki", "authorities", "local", "root.crt")
	roots := x509.NewCertPool()
	eventually(t, "the proxy has a certificate", func() error {
		text, err := os.ReadFile(root)
		if err != nil || !roots.AppendCertsFromPEM(text) {
			return errors.Join(err, errors.New("no certificate"))
		}
		conn, err := tls.Dial("tcp", packagedHost+":443", &tls.Config{RootCAs: roots})
		if err != nil {
			return err
		}
		return conn.Close()
	})
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: false,
		DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(packagedCaller)}}).DialContext,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return start(t, options{
		Config: string(readFile(t, "../deploy/compose/etc/usher.yaml")) + more, PublicURL: "https://" + packagedHost,
		Client: &http.Client{Transport: transport, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		Env:    append(env, "USHER_SERVER_TRUSTED_PROXIES=127.0.0.1", "USHER_LOG_REQUESTS=true"),
	}), root
}

func TestBehindTheProxyOfCompose(t *testing.T) {
	issuer := newIssuer(t)
	s, _ := composed(t, trusting(issuer.entry()), "USHER_SIGNALING_IDLE=10s")

	a, err := send(s.Client, http.MethodGet, "http://"+packagedHost+"/api/v1/me?a=b", "")
	if err != nil || a.Status != http.StatusPermanentRedirect || a.Header.Get("Location") != "https://"+packagedHost+"/api/v1/me?a=b" {
		t.Errorf("over plain HTTP: got %d to %q, %v", a.Status, a.Header.Get("Location"), err)
	}

	// What a caller says of itself reaches the server by way of the proxy.
	forged := []string{"X-Forwarded-For", "192.0.2.99", "X-Forwarded-For", "127.0.0.1", "X-Forwarded-Proto", "http", "Forwarded", "for=192.0.2.99", "X-Real-IP", "192.0.2.99"}
	logged := len(s.output.Bytes())
	a = s.must(http.StatusOK, http.MethodGet, "/api/v1/me", "", append(forged, bearer(issuer.token("ann").Reveal())...)...)
	if got, want := a.Header.Get("Strict-Transport-Security"), "max-age=15552000"; got != want {
		t.Errorf("HSTS: got %q, want %q", got, want)
	}
	s.comesFrom(packagedCaller, logged)

	// A stranger who goes around the proxy, which compose has no port for.
	logged = len(s.output.Bytes())
	a, err = send(s.Client, http.MethodGet, "http://"+packagedAt+":8080/api/v1/me", "", "X-Forwarded-For", "127.0.0.1", "X-Forwarded-Proto", "https")
	if err != nil || a.Status != http.StatusUnauthorized || a.Header.Get("Strict-Transport-Security") != "" {
		t.Errorf("around the proxy: got %d, %v with HSTS %q, as if it came over TLS", a.Status, err, a.Header.Get("Strict-Transport-Security"))
	}
	s.comesFrom(packagedCaller, logged)

	_, key := s.apiKey(nil)
	a = s.must(http.StatusRequestEntityTooLarge, http.MethodPost, "/api/v1/rooms", `{"name":"`+strings.Repeat("a", 10<<20)+`"}`, append(bearer(key.Reveal()), asJSON...)...)
	if !strings.Contains(a.Body, `"code"`) {
		t.Errorf("a body of 10 MiB: the proxy answered itself: %s", a.Body)
	}
	s.must(http.StatusCreated, http.MethodPost, "/api/v1/rooms", `{"name":"hall"}`, append(bearer(key.Reveal()), asJSON...)...)

	// Nothing is said for longer than signaling.idle.
	conn := s.signal(issuer.token("ann"), client.SignalOptions{})
	s.comesFrom(packagedCaller, logged)
	if m, err := conn.Receive(within(t, 25*time.Second)); err == nil || closeCode(err) != 0 {
		t.Fatalf("a quiet socket: got %+v, %v", m, err)
	}
	conn.refused("no_destination", client.Message{Action: "nonsense"})

	// The proxy says that the server is away, and goes on when it is back.
	s.Stop()
	if code := conn.closing(socketTime); code != 1012 {
		t.Errorf("the server stopped: the socket was closed with %d, want 1012", code)
	}
	if a := s.do(http.MethodGet, "/readyz", ""); a.Status != http.StatusBadGateway {
		t.Errorf("while it is away: got %d", a.Status)
	}
	s.launch()
	again := s.signal(issuer.token("ann"), client.SignalOptions{})
	again.refused("no_destination", client.Message{Action: "nonsense"})
}

// comesFrom waits for a request in the log, and says from where it has to be.
func (s *Server) comesFrom(address string, after int) {
	s.t.Helper()
	if err := s.output.await(within(s.t, socketTime), `"address":"`+address, after); err != nil {
		s.t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`"address":"([^"]+)"`).FindAllSubmatch(s.output.Bytes()[after:], -1) {
		if string(m[1]) != address {
			s.t.Errorf("a request is said to come from %s, want %s", m[1], address)
		}
	}
}

// TestPrometheusScrapes has Prometheus scrape through the proxy, as the page on
// monitoring says, evaluate the alerts, and answer the board.
func TestPrometheusScrapes(t *testing.T) {
	s, root := composed(t, "")
	id, key := s.apiKey(nil)
	s.reload(s.options.Config+"operators: ['client:"+string(id)+"']\n", "the configuration was reloaded")

	dir := t.TempDir()
	block := regexp.MustCompile("(?s)```yaml\n(scrape_configs:.*?)```").FindSubmatch(readFile(t, "../docs/monitoring.md"))
	if block == nil {
		t.Fatal("the page has no scrape_configs")
	}
	alerts, err := filepath.Abs("../deploy/monitoring/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(dir, "usher.key")
	config := "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [" + alerts + "]\n" +
		strings.Replace(string(block[1]), "/etc/prometheus/usher.key", keyFile, 1)
	for path, text := range map[string]string{keyFile: key.Reveal() + "\n", filepath.Join(dir, "prometheus.yml"): config} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program(t, []string{"SSL_CERT_FILE=" + root}, "prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:9090")
	ask := func(path string, data any) error {
		a, err := send(http.DefaultClient, http.MethodGet, "http://127.0.0.1:9090/api/v1/"+path, "")
		if err != nil {
			return err
		}
		if a.Status != http.StatusOK {
			return fmt.Errorf("%d: %s", a.Status, a.Body)
		}
		return json.Unmarshal([]byte(a.Body), &struct{ Data any }{data})
	}

	target := func(health string) func() error {
		return func() error {
			var got struct {
				ActiveTargets []struct{ Health, LastError string }
			}
			if err := ask("targets", &got); err != nil || len(got.ActiveTargets) != 1 || got.ActiveTargets[0].Health != health {
				return fmt.Errorf("the target is not %s: %+v, %w", health, got, err)
			}
			return nil
		}
	}
	eventually(t, "the server is scraped", target("up"))
	type rule struct{ Name, Health, LastError, State string }
	rules := func() (all []rule, err error) {
		var got struct{ Groups []struct{ Rules []rule } }
		if err := ask("rules", &got); err != nil || len(got.Groups) != 1 {
			return nil, fmt.Errorf("%d groups: %w", len(got.Groups), err)
		}
		return got.Groups[0].Rules, nil
	}
	eventually(t, "the rules are evaluated", func() error {
		all, err := rules()
		for _, r := range all {
			if r.Health != "ok" || r.State != "inactive" {
				err = errors.Join(err, fmt.Errorf("%+v", r))
			}
		}
		return err
	})
	// Every query of the board is answered, those of what there is always with something.
	expressions := regexp.MustCompile(`"expr": ("(?:[^"\\]|\\.)*")`).FindAllSubmatch(readFile(t, "../deploy/monitoring/grafana.json"), -1)
	for _, m := range expressions {
		var query string
		if err := json.Unmarshal(m[1], &query); err != nil {
			t.Fatal(err)
		}
		query = strings.NewReplacer("$instance", ".*", "$__rate_interval", "1m").Replace(query)
		if err := ask("query?"+url.Values{"query": {query}}.Encode(), new(any)); err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
	if len(expressions) < 20 {
		t.Errorf("the board has %d queries", len(expressions))
	}

	s.Stop()
	eventually(t, "the server is away", target("down"))
	eventually(t, "UsherDown is pending", func() error {
		all, err := rules()
		for _, r := range all {
			if r.Name == "UsherDown" && r.State == "pending" {
				return nil
			}
		}
		return errors.Join(err, errors.New("it is not"))
	})
}
