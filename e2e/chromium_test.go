package e2e_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os/exec"
	"path/filepath"
	"testing"
)

// chromium is a browser of the test's own: see node/chromium.mjs.
type chromium struct{ *driver }

// chromiumOptions say how a browser differs from a fresh one.
type chromiumOptions struct {
	// Hosts are names with ports that lead to other addresses with ports.
	Hosts map[string]string `json:"hosts,omitempty"`
	// Keys are hashes of public keys to trust whatever their certificate says:
	// see [keyHash].
	Keys  []string `json:"spkis,omitempty"`
	Flags []string `json:"flags,omitempty"`
}

// trusting has a browser trust an authority, too; nil is none.
func (o chromiumOptions) trusting(a *authority) chromiumOptions {
	if a != nil {
		o.Keys = append(o.Keys, keyHash(a.t, readFile(a.t, a.File)))
	}
	return o
}

// startBrowser starts a browser, which ends with the test.
func startBrowser(t testing.TB, o chromiumOptions) chromium {
	t.Helper()
	nodeDir(t, "playwright-core")
	needs(t, "chromium")
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	b := chromium{startDriver(t, "chromium.mjs")}
	b.call("launch", struct {
		Executable string `json:"executable"`
		chromiumOptions
	}{path, o}, nil)
	return b
}

// page is one page of a browser.
type page struct {
	chromium
	name string
}

// open loads a page in a context of its own, or in that of another page.
func (b chromium) open(name, url string, context ...string) page {
	b.t.Helper()
	args := map[string]string{"page": name, "url": url}
	if len(context) > 0 {
		args["context"] = context[0]
	}
	b.call("open", args, nil)
	return page{b, name}
}

// run evaluates the body of an async function in the page.
func (p page) run(body string, arg, result any) {
	p.t.Helper()
	if err := p.tryRun(body, arg, result); err != nil {
		p.t.Fatalf("in the page %s: %v\n%s\nits log: %q", p.name, err, body, p.log())
	}
}

func (p page) tryRun(body string, arg, result any) error {
	return p.try("run", map[string]any{"page": p.name, "body": body, "arg": arg}, result)
}

// drive runs the body of an async function that has the page as Playwright knows
// it, and its argument as arg. What it looks for it waits for.
func (p page) drive(body string, arg, result any) {
	p.t.Helper()
	if err := p.try("drive", map[string]any{"page": p.name, "body": body, "arg": arg}, result); err != nil {
		p.t.Fatalf("the page %s: %v\n%s\nits log: %q", p.name, err, body, p.log())
	}
}

// log returns what the page printed, and what went wrong in it.
func (p page) log() []string {
	p.t.Helper()
	var log []string
	p.call("log", map[string]string{"page": p.name}, &log)
	return log
}

// reload loads the page again.
func (p page) reload() {
	p.t.Helper()
	p.call("reload", map[string]string{"page": p.name}, nil)
}

// shut closes the page.
func (p page) shut() {
	p.t.Helper()
	p.call("shut", map[string]string{"page": p.name}, nil)
}

// bundle makes a page's script of a module in the folder node, and returns it.
func bundle(t testing.TB, entry string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "bundle.js")
	cmd := exec.CommandContext(within(t, startTime), "node", "bundle.mjs", entry, out)
	cmd.Dir, cmd.Env = nodeDir(t, "esbuild"), environ()
	if printed, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("bundle %s: %v\n%s", entry, err, printed)
	}
	return readFile(t, out)
}

// keyHash is by what a browser can be told to trust the key of a certificate.
func keyHash(t testing.TB, certificate []byte) string {
	t.Helper()
	block, _ := pem.Decode(certificate)
	if block == nil {
		t.Fatal("the certificate is not PEM")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}
