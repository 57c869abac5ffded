package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Who ends the TLS of callers.
const (
	byProxy = "proxy"
	byFiles = "files"
	byACME  = "acme"
)

// tlsChoices are the answers to --tls.
func tlsChoices() []string { return []string{byProxy, byFiles, byACME} }

// dialect is one of those that are served to clients of other servers.
type dialect struct{ name, setting string }

func dialects() []dialect {
	var all []dialect
	for _, name := range []string{"vpaas", "meetings", "agora", "janus", "livekit", "videochat", "roomservice"} {
		all = append(all, dialect{name, "compat." + name + ".enabled"})
	}
	return all
}

func dialectNames() []string {
	var names []string
	for _, d := range dialects() {
		names = append(names, d.name)
	}
	return names
}

// questions are all of them, in the order in which they are asked.
func (c *initCommand) questions(ctx context.Context, a *asking, env environment) []question {
	return slices.Concat(c.placeQuestions(env), c.addressQuestions(), c.peopleQuestions(ctx, a), c.dialectQuestions())
}

// placeQuestions are about where everything is.
func (c *initCommand) placeQuestions(env environment) []question {
	file, folder, runner := "usher.yaml", "usher-data", ""
	if env.Root {
		file, folder = unitConfig, "/var/lib/usher"
		if _, _, err := idsOf("usher"); err == nil {
			runner = "usher"
		}
	}
	return []question{
		{
			flag: "config", ask: "Where shall the configuration be?", why: "A new file, which 'usher serve --config' reads.",
			into: &c.Config, usual: file,
			check: func() error { return errors.Join(absolute(&c.Config), c.freeConfig()) },
		},
		{
			flag: "data", ask: "Where shall the database and the keys be?", why: "A folder of the server's own, on a disk that stays. Back it up.",
			into: &c.Data, usual: cmp.Or(env.variable("USHER_DATA"), folder), settings: []string{"data"},
			check: func() error { return errors.Join(absolute(&c.Data), c.freeData()) },
		},
		{
			flag: "user", ask: "Which user does the server run as?", why: "The folder is given to it, and nobody else can read the keys. Nothing is this user.",
			into: &c.User, usual: runner, moot: func() bool { return !env.Root },
			check: func() error {
				if c.User == "" {
					return nil
				}
				if !env.Root {
					return errors.New("only root can give a folder to another user")
				}
				_, _, err := idsOf(c.User)
				return err
			},
		},
	}
}

// addressQuestions are about how callers reach the server.
func (c *initCommand) addressQuestions() []question {
	proxied := func() (bool, string) { return c.TLS == byProxy, "--tls " + byProxy }
	filed := func() (bool, string) { return c.TLS == byFiles, "--tls " + byFiles }
	own := func() (bool, string) { return c.ownTLS(), "--tls " + byFiles + " or " + byACME }
	acme := func() (bool, string) { return c.TLS == byACME, "--tls " + byACME }
	return []question{
		{
			flag: "url", ask: "What do callers reach the server by?", why: "Such as https://usher.example.com: links begin with it, and tokens are for it.",
			into: &c.URL, needed: true, settings: []string{"server.publicURL"},
			check: func() error { c.URL = strings.TrimSuffix(c.URL, "/"); return nil },
		},
		{
			flag: "tls", ask: "Who ends TLS: " + strings.Join(tlsChoices(), ", ") + "?",
			why:  "A proxy in front that has the certificate; or this server, by certificate files, or by ACME from an authority such as Let's Encrypt.",
			into: &c.TLS, needed: true, settings: []string{"server.tls.acme.domains"},
			check: func() error {
				switch {
				case !slices.Contains(tlsChoices(), c.TLS):
					return fmt.Errorf("say %s", strings.Join(tlsChoices(), ", "))
				case c.TLS != byProxy && !strings.HasPrefix(c.URL, "https://"):
					return errors.New("the URL has to begin with https:// then")
				}
				return nil
			},
		},
		{
			flag: "accept-terms", ask: "Do you agree to the terms of Let's Encrypt? (yes or no)", why: "They are at https://letsencrypt.org/repository/. It has to reach this server by port 443 of the URL's host, or by port 80.",
			into: &c.AcceptTerms, needed: true, only: acme, again: 1,
			check: func() error {
				if !c.AcceptTerms {
					return errors.New("without that there is no certificate by ACME")
				}
				return nil
			},
		},
		{
			flag: "acme-email", ask: "Where may it write to?", why: "A mail address, to be told if something is wrong. Nothing is nowhere.",
			into: &c.ACMEEmail, only: acme, settings: []string{"server.tls.acme.email"},
		},
		{
			flag: "cert", ask: "Where is the certificate?", why: "A file (PEM) with the chain behind it. It may be replaced while the server runs.",
			into: &c.Cert, needed: true, only: filed,
			check: func() error { return readable(&c.Cert) },
		},
		{
			flag: "key", ask: "Where is the certificate's private key?", why: "A file (PEM) that the server's user can read, and others can't.",
			into: &c.Key, needed: true, only: filed, again: 1, settings: []string{"server.tls", "server.publicURL"},
			check: func() error { return readable(&c.Key) },
		},
		{
			flag: "http", ask: "Where to listen for plain HTTP?", why: "An address and a port; where TLS ends here, who comes is sent to HTTPS. off is nowhere.",
			into: &c.HTTP, derive: c.listenHTTP, settings: []string{"server.http"},
			check: func() error {
				if c.HTTP == "off" && c.TLS == byProxy {
					return errors.New("the proxy has to reach the server somewhere")
				}
				return nil
			},
		},
		{
			flag: "https", ask: "Where to listen for HTTPS?", why: "An address and a port, or a port of all addresses.",
			into: &c.HTTPS, only: own, derive: func() string { return ":" + portOf(c.URL) }, settings: []string{"server.https"},
		},
		{
			flag: "trusted-proxies", ask: "Which addresses does the proxy have?", why: "What it says of callers' addresses is believed, and what others say is not.",
			into: &c.TrustedProxies, only: proxied, usual: "127.0.0.1, ::1", settings: []string{"server.trustedProxies"},
		},
	}
}

// ownTLS reports whether the server ends TLS itself.
func (c *initCommand) ownTLS() bool { return c.TLS == byFiles || c.TLS == byACME }

// peopleQuestions are about who is known.
func (c *initCommand) peopleQuestions(ctx context.Context, a *asking) []question {
	signedIn := func() (bool, string) { return c.Issuer != "", "an --issuer" }
	return []question{
		{
			flag: "issuer", ask: "Whose tokens say who a user is?", why: "The address of an OpenID Connect issuer. Nothing is none yet: then only back ends with keys and guests are known.",
			into: &c.Issuer, settings: []string{"issuers[0].issuer"},
			check: func() error {
				if c.Issuer == "" {
					return nil
				}
				return a.reach(ctx)
			},
		},
		{
			flag: "client-id", ask: "What is the page to call from known by there?", why: "The id of a public client, with the redirect address /signed-in of the URL. Nothing is no signing in on it.",
			into: &c.ClientID, only: signedIn, settings: []string{"web"},
			check: func() error {
				if c.ClientID == "" && isCognito(c.Issuer) {
					return errors.New("a token of Cognito says by client whom it is for: the client has to be named")
				}
				return nil
			},
		},
		{
			flag: "audience", ask: "Whom are the tokens of your app for?", why: "What their aud has, and commas between several. Tokens for others are refused. Nothing is the page alone.",
			into: &c.Audience, settings: []string{"issuers[0]"}, again: 1,
			only: func() (bool, string) {
				return c.Issuer != "" && !isCognito(c.Issuer), "an --issuer, and one that is not Cognito"
			},
			check: func() error {
				if len(c.Audience) == 0 && c.ClientID == "" {
					return errors.New("with neither --client-id nor --audience a token for any app would do")
				}
				return nil
			},
		},
		{
			flag: "operator", ask: "Who may see and end everything?", why: "user:SUBJECT or group:NAME, by the issuer's sub and groups. Nothing is a back end with an API key.",
			into: &c.Operator, only: signedIn, moot: func() bool { return c.OperatorKey }, settings: []string{"operators"},
			check: c.nameOperator,
		},
		{
			flag: "operator-key", ask: "Shall a back end be made that may see and end everything? (yes or no)", why: "Its API key is printed once. Without, only who may read the folder can, on this machine.",
			into: &c.OperatorKey, usual: "yes", needed: true, or: "--issuer and --operator", moot: func() bool { return c.Operator != "" },
		},
	}
}

// nameOperator completes the name of the operator by the issuer's.
func (c *initCommand) nameOperator() error {
	if c.Operator == "" {
		return nil
	}
	if !isGroupOrUser(c.Operator) {
		return errors.New("say user:SUBJECT or group:NAME")
	}
	kind, name, _ := strings.Cut(c.Operator, ":")
	switch {
	case strings.HasPrefix(name, c.Issuer+"#"):
	case strings.Contains(name, "://"):
		return errors.New("it is of another issuer than --issuer")
	default:
		c.Operator = kind + ":" + c.Issuer + "#" + name
	}
	return nil
}

// dialectQuestions are about clients that were written for other servers.
func (c *initCommand) dialectQuestions() []question {
	of := func(name string) func() (bool, string) {
		return func() (bool, string) { return c.serves(name), "--dialects " + name }
	}
	return []question{
		{
			flag: "dialects", ask: "Which clients of other servers shall be served as they are?", why: "Any of " + strings.Join(dialectNames(), ", ") + "; or none. The native API is always there.",
			into: &c.Dialects, usual: "vpaas", settings: []string{"compat"}, check: c.knownDialects,
		},
		{
			flag: "agora-app-id", ask: "What is the app id of the Agora project?", why: "32 hexadecimal digits, from Agora's console.",
			into: &c.AgoraAppID, needed: true, only: of("agora"), settings: []string{"agora.appId"},
		},
		{
			flag: "agora-certificate", ask: "Where is its primary certificate kept?", why: "file:PATH or env:NAME. It signs the tokens, and is written nowhere.",
			into: &c.AgoraCertificate, needed: true, only: of("agora"), settings: []string{"agora"},
			check: func() error { return kept(&c.AgoraCertificate) },
		},
		{
			flag: "janus-url", ask: "How do browsers reach the Janus with janus-plugin-sfu?", why: "Its WebSocket address, as wss://janus.example.com/janus. The key for its tokens is made by the server.",
			into: &c.JanusURL, needed: true, only: of("janus"), settings: []string{"janus"},
		},
		{
			flag: "livekit-url", ask: "Where do clients reach the LiveKit?", why: "As wss://livekit.example.com.",
			into: &c.LiveKitURL, needed: true, only: of("livekit"), settings: []string{"livekit.url"},
		},
		{
			flag: "livekit-key", ask: "What is its API key?", why: "One of the keys in LiveKit's own configuration.",
			into: &c.LiveKitKey, needed: true, only: of("livekit"), settings: []string{"livekit.apiKey"},
		},
		{
			flag: "livekit-secret", ask: "Where is the secret of that key kept?", why: "file:PATH or env:NAME. It signs the tokens, and is written nowhere.",
			into: &c.LiveKitSecret, needed: true, only: of("livekit"), settings: []string{"livekit"},
			check: func() error { return kept(&c.LiveKitSecret) },
		},
	}
}

// serves reports whether a dialect is among those that were chosen.
func (c *initCommand) serves(name string) bool { return slices.Contains(c.Dialects, name) }

func (c *initCommand) knownDialects() error {
	for _, d := range c.Dialects {
		if d == "none" && len(c.Dialects) == 1 {
			return nil
		}
		if !slices.Contains(dialectNames(), d) {
			return fmt.Errorf("%q is none of %s", d, strings.Join(dialectNames(), ", "))
		}
	}
	return nil
}

// readable makes the path of a file absolute, and returns an error if it can't be read.
func readable(path *string) error {
	if err := absolute(path); err != nil {
		return err
	}
	f, err := os.Open(*path)
	if err != nil {
		return err
	}
	return f.Close()
}
