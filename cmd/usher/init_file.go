package main

import (
	"slices"
	"strings"

	"usher/internal/config"
)

const configHead = `The configuration of an Usher server, as 'usher init' has written it.
'usher config check --config FILE' says whether it is sound, and 'usher config doc' what else there is.
Text like this is behind a # and a space. What is directly behind a # is an example of a setting that is off: take the # away from it and from the sections that it is in, and say what it shall be.`

// lines are the configuration: what was answered, and examples of what is likely
// to come next.
func (c *initCommand) lines(operators []string) []config.Line {
	var l lines
	c.serverLines(&l)
	l.on("data", c.Data)
	c.peopleLines(&l, operators)
	l.off("limits.mint", nil)
	l.off("limits.open", nil)
	l.off("limits.failed", nil)
	l.off("audit.keepFor", nil)
	l.off("webhooks[].name", "my-app")
	l.off("webhooks[].url", "https://app.example.com/usher")
	l.off("webhooks[].secret", "env:WEBHOOK_SECRET")
	c.platformLines(&l)
	l.off("log.format", "json")
	l.off("log.requests", true)
	return l
}

type lines []config.Line

func (l *lines) on(key string, value any) { *l = append(*l, config.Line{Key: key, Value: value}) }
func (l *lines) off(key string, value any) {
	*l = append(*l, config.Line{Key: key, Value: value, Off: true})
}

// either writes a setting as it is or, where it is not said, an example.
func (l *lines) either(key, value, example string) {
	if value != "" {
		l.on(key, value)
	} else {
		l.off(key, example)
	}
}

func (c *initCommand) serverLines(l *lines) {
	listen := func(key, address string) {
		switch address {
		case "": // not said yet
		case "off":
			l.on(key, "")
		default:
			l.on(key, address)
		}
	}
	listen("server.http", c.HTTP)
	if c.ownTLS() {
		https := c.HTTPS
		if https == "" {
			https = ":" + portOf(c.URL)
		}
		listen("server.https", https)
	}
	switch {
	case c.TLS == byFiles && c.Key != "":
		l.on("server.tls.certFile", c.Cert)
		l.on("server.tls.keyFile", c.Key)
	case c.TLS == byACME:
		l.on("server.tls.acme.domains", []string{hostOf(c.URL)})
		l.on("server.tls.acme.acceptTerms", c.AcceptTerms)
		l.either("server.tls.acme.email", c.ACMEEmail, "ops@example.com")
	}
	l.on("server.publicURL", c.URL)
	l.off("server.origins", []string{"https://app.example.com"})
	if len(c.TrustedProxies) > 0 {
		l.on("server.trustedProxies", c.TrustedProxies)
	}
	l.off("server.notice", "5s")
}

func (c *initCommand) peopleLines(l *lines, operators []string) {
	if c.Issuer == "" {
		l.off("issuers[].issuer", "https://id.example.com")
		l.off("issuers[].audiences", []string{"my-app"})
		l.off("session.url", "https://app.example.com/me")
	} else {
		l.on("issuers[].issuer", c.Issuer)
		page := c.ClientID
		switch {
		case isCognito(c.Issuer):
			l.on("issuers[].kind", "cognito")
			l.on("issuers[].clientIds", []string{c.ClientID})
		case c.ClientID != "":
			l.on("issuers[].audiences", slices.Concat([]string{c.ClientID}, c.Audience))
		default:
			l.on("issuers[].audiences", c.Audience)
			page = "usher-page"
			l.off("issuers[].clientIds", []string{page})
		}
		if c.ClientID != "" {
			l.on("web.clientId", page)
		} else {
			l.off("web.clientId", page)
		}
		l.off("web.connect", []string{"https://signin.example.com"})
	}
	if c.Operator != "" && operators == nil {
		operators = []string{c.Operator}
	}
	if len(operators) > 0 {
		l.on("operators", operators)
	} else {
		l.off("operators", []string{"group:https://id.example.com#usher-operators"})
	}
}

func (c *initCommand) platformLines(l *lines) {
	l.either("agora.appId", c.AgoraAppID, strings.Repeat("0", 32))
	l.either("agora.appCertificate", c.AgoraCertificate, "env:AGORA_APP_CERTIFICATE")
	l.either("janus.pluginURL", c.JanusURL, "wss://janus.example.com/janus")
	l.either("livekit.url", c.LiveKitURL, "wss://livekit.example.com")
	l.either("livekit.apiKey", c.LiveKitKey, "APIxxxxxxxx")
	l.either("livekit.apiSecret", c.LiveKitSecret, "env:LIVEKIT_API_SECRET")
	l.off("turn.urls", []string{"turn:turn.example.com:3478"})
	l.off("turn.secret", "env:TURN_SECRET")
	for _, d := range dialects() {
		switch on := c.serves(d.name); {
		case on:
			l.on(d.setting, true)
		case d.name == "vpaas" && len(c.Dialects) > 0: // which else is on
			l.on(d.setting, c.serves("meetings"))
		case d.name != "vpaas" && d.name != "meetings":
			l.off(d.setting, true)
		}
	}
}
