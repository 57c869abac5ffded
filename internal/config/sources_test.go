package config_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/access"
	"usher/internal/call"
	"usher/internal/collab"
	"usher/internal/config"
	"usher/internal/contact"
	"usher/internal/httpd"
	"usher/internal/identity"
	"usher/internal/limit"
	"usher/internal/platform/agora"
	"usher/internal/platform/janus"
	"usher/internal/platform/livekit"
	"usher/internal/platform/turnrest"
	"usher/internal/policy"
	"usher/internal/room"
	"usher/internal/signaling"
	"usher/internal/turn"
)

func TestEverySettingCanBeGivenInEveryWay(t *testing.T) {
	key := writeKey(t, ed25519Key(t))
	ca := write(t, certificatePEM(t))
	signer, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey := writeKey(t, pkcs8(t, signer))
	cert, certKey := certificateFor(t, "usher.example.com")
	kept := func(secret string) string { return "file:" + write(t, secret) }
	digits, certificate, secondary, long := strings.Repeat("a", 32), strings.Repeat("b", 32), strings.Repeat("c", 32), strings.Repeat("s", 32)
	values := map[string]string{
		"server.http": "127.0.0.1:81", "server.https": ":82", "server.publicURL": "https://usher.example.com/",
		"server.origins": "https://app.example.com, https://beta.example.com:8443", "server.trustedProxies": "192.0.2.7,10.0.0.0/8,2001:db8::/32",
		"server.tls.certFile": cert, "server.tls.keyFile": certKey, "server.tls.hsts": "1h", "server.tls.acme.acceptTerms": "true",
		"server.tls.acme.email": "ops@example.com", "server.tls.acme.directoryURL": "https://ca.example.com/acme", "server.tls.acme.caFile": ca,
		"server.notice": "3s", "server.drain": "4s", "server.debug": "127.0.0.1:84", "server.debugToken": kept(long),
		"data": "data", "operators": "client:euopeke6qei65m5prjcvnqv2lq, user:https://id.example.com#alice,group:https://id.example.com#staff",
		"store.driver": "dynamodb", "store.region": "eu-central-1", "store.endpoint": "http://127.0.0.1:8000", "store.issuer": "https://id.example.com", "store.sealKey": kept(long),
		"lambda.endpoint": "https://abc.execute-api.us-east-1.amazonaws.com/dev", "lambda.userPool": "arn:aws:cognito-idp:us-east-1:1:userpool/us-east-1_A", "lambda.userPoolClients": "one,two",
		"store.tables.usher": "chat-usher", "store.tables.users": "chat-users", "store.tables.contacts": "chat-contacts",
		"store.tables.connections": "chat-connections", "store.tables.userEmailIndex": "ByEmail", "store.tables.userIdIndex": "ByUser",
		"session.url": "https://app.example.com/me", "session.issuer": "app", "session.app": "one", "session.cookies": "sid",
		"session.headers": "X-Device", "session.timeout": "1s", "session.cacheFor": "0s", "session.caFile": ca, "session.trustEmail": "true",
		"session.claims.subject": "uid", "session.claims.email": "mail", "session.claims.emailVerified": "ok", "session.claims.name": "display", "session.claims.groups": "teams",
		"session.userHeaders.subject": "Remote-User", "session.userHeaders.email": "Remote-Email", "session.userHeaders.name": "Remote-Name", "session.userHeaders.groups": "Remote-Groups",
		"policy.lifetime": "1h", "policy.maxLifetime": "2h", "policy.excess": "refuse", "policy.admission": "open", "policy.openRole": "viewer",
		"limits.mint": "1/1s", "limits.room": "2/1s", "limits.claim": "3/1s", "limits.open": "4/1s", "limits.failed": "0",
		"audit.mode": "strict", "audit.keepFor": "48h", "audit.keepBytes": "3000000000",
		"rooms.grace": "1m", "rooms.lease": "1s", "rooms.unjoined": "1h", "rooms.keepFor": "24h", "rooms.implicit": "true", "rooms.seats": "7",
		"vpaas.apiAddress": "https://vpaas.example.com/base/", "vpaas.caFile": ca, "vpaas.timeout": "3s",
		"vpaas.credentials.clientId": "euopeke6qei65m5prjcvnqv2lq", "vpaas.credentials.privateKeyPath": key,
		"agora.appId": digits, "agora.appCertificate": kept(certificate), "agora.secondaryCertificate": kept(secondary), "agora.tokenVersion": "006",
		"janus.keyFile": rsaKey, "janus.publicKeyFile": "public.der", "janus.pluginURL": "wss://sfu.example.com/janus", "janus.audience": "rooms", "janus.browserKick": "false",
		"janus.apiURL": "wss://janus.example.com/janus", "janus.apiSecret": kept(long), "janus.tokenAuthSecret": kept(long),
		"janus.adminURL": "http://127.0.0.1:7088/admin", "janus.adminSecret": kept(long), "janus.adminKey": kept(long), "janus.numericRooms": "true",
		"janus.ttl": "3m", "janus.maxTTL": "4m", "janus.clockLeeway": "2s",
		"livekit.url": "wss://livekit.example.com", "livekit.apiKey": "key", "livekit.apiSecret": kept(long),
		"turn.urls": "stun:turn.example.com,turn:turn.example.com", "turn.secret": kept(long), "turn.ttl": "1h",
		"turnServer.udp": "127.0.0.1:3478", "turnServer.tcp": "127.0.0.1:3479", "turnServer.realm": "example.com", "turnServer.relayAddress": "198.51.100.7",
		"turnServer.minPort": "50000", "turnServer.maxPort": "50001", "turnServer.quota": "3", "turnServer.allowPeers": "10.20.0.0/16",
		"log.level": "debug", "log.format": "json", "log.requests": "true",
		"compat.vpaas.enabled": "false", "compat.vpaas.access": "identity",
		"compat.meetings.enabled": "true", "compat.meetings.access": "public", "compat.meetings.role": "host",
		"compat.agora.enabled": "true", "compat.agora.access": "public", "compat.agora.role": "viewer",
		"compat.janus.enabled": "true", "compat.janus.access": "public", "compat.janus.role": "speaker",
		"signaling.enabled": "true", "signaling.preset": "aws", "signaling.tokenExpiry": "close", "signaling.maxMessage": "2048",
		"signaling.idle": "5m", "signaling.lifetime": "3h", "signaling.relay": "7/1s", "signaling.calls": "8/1s",
		"signaling.connections": "9", "signaling.queue": "131072", "signaling.resumeWindow": "1m",
		"calls.ring": "45s", "calls.connect": "46s", "calls.grace": "47s", "calls.longest": "48h", "calls.keepMissed": "49h", "calls.candidates": "50",
		"contacts.max": "77", "limits.seek": "5/1s", "compat.videochat.enabled": "true", "compat.videochat.access": "identity",
		"compat.connections.listen": "127.0.0.1:83", "compat.connections.stage": "prod", "compat.connections.rate": "9/1s",
		"compat.connections.accessKeyId": "AKID0123456789AB", "compat.connections.secretAccessKey": kept(long),
		"compat.livekit.enabled": "true", "compat.livekit.access": "public", "compat.livekit.role": "viewer",
		"compat.roomservice.enabled": "true", "compat.roomservice.access": "public", "compat.roomservice.role": "viewer", "compat.roomservice.lifetime": "90m",
		"collab.maxValue": "1", "collab.maxDocument": "2", "collab.maxItems": "3", "collab.maxObjects": "4", "collab.maxPresence": "5",
		"collab.maxPeers": "6", "collab.grace": "7s", "collab.rate": "8/1m",
		"web.enabled": "false", "web.clientId": "one", "web.issuer": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_A", "web.connect": "https://token.example.com",
	}
	claims := identity.ClaimNames{Subject: "uid", Email: "mail", EmailVerified: "ok", Name: "display", Groups: "teams"}
	want := config.Config{
		Server: config.Server{
			HTTP: "127.0.0.1:81", HTTPS: ":82", PublicURL: "https://usher.example.com",
			TLS: config.TLS{
				CertFile: cert, KeyFile: certKey, HSTS: time.Hour,
				ACME: config.ACME{AcceptTerms: true, Email: "ops@example.com", DirectoryURL: "https://ca.example.com/acme", CAFile: ca},
			},
			Origins:        []string{"https://app.example.com", "https://beta.example.com:8443"},
			TrustedProxies: []string{"192.0.2.7", "10.0.0.0/8", "2001:db8::/32"},
			Notice:         3 * time.Second, Drain: 4 * time.Second,
			Debug: "127.0.0.1:84", DebugToken: usher.Secret(long),
		},
		Data: "data",
		Store: config.Store{
			Driver: config.DynamoDB, Region: "eu-central-1", Endpoint: "http://127.0.0.1:8000", Issuer: "https://id.example.com", SealKey: usher.Secret(long),
			Tables: config.Tables{
				Usher: "chat-usher", Users: "chat-users", Contacts: "chat-contacts", Connections: "chat-connections",
				UserEmailIndex: "ByEmail", UserIDIndex: "ByUser",
			},
		},
		Lambda: config.Lambda{
			Endpoint: "https://abc.execute-api.us-east-1.amazonaws.com/dev", UserPool: "arn:aws:cognito-idp:us-east-1:1:userpool/us-east-1_A", UserPoolClients: []string{"one", "two"},
		},
		Issuers: []identity.IssuerConfig{
			{Issuer: "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_A", Kind: identity.Cognito, ClientIDs: []string{"one", "two"}},
		},
		Operators: []string{"client:euopeke6qei65m5prjcvnqv2lq", "user:https://id.example.com#alice", "group:https://id.example.com#staff"},
		Session: identity.ForwardConfig{
			URL: "https://app.example.com/me", Issuer: "app", App: "one", Cookies: []string{"sid"}, Headers: []string{"X-Device"},
			Timeout: time.Second, CAFile: ca, TrustEmail: true, Claims: claims,
			UserHeaders: identity.HeaderNames{Subject: "Remote-User", Email: "Remote-Email", Name: "Remote-Name", Groups: "Remote-Groups"},
		},
		Policy: policy.Config{
			Lifetime: time.Hour, MaxLifetime: 2 * time.Hour, Excess: policy.Refuse, Admission: usher.AdmitOpen, OpenRole: usher.Viewer,
		},
		Limits: limit.Config{
			Mint: limit.Rate{Count: 1, Per: time.Second}, Room: limit.Rate{Count: 2, Per: time.Second},
			Claim: limit.Rate{Count: 3, Per: time.Second}, Open: limit.Rate{Count: 4, Per: time.Second}, Seek: limit.Rate{Count: 5, Per: time.Second},
		},
		Record: access.RecordConfig{Audit: access.Strict, KeepFor: 48 * time.Hour, KeepBytes: 3_000_000_000},
		Rooms:  room.Config{Grace: time.Minute, Lease: time.Second, Unjoined: time.Hour, KeepFor: 24 * time.Hour, Implicit: true, Seats: 7},
		VPaaS: config.VPaaS{
			APIAddress: "https://vpaas.example.com/base", CAFile: ca, Timeout: 3 * time.Second,
			Credentials: config.Credentials{ClientID: "euopeke6qei65m5prjcvnqv2lq", PrivateKeyPath: key},
		},
		Agora: agora.Config{
			AppID: digits, AppCertificate: usher.Secret(certificate), SecondaryCertificate: usher.Secret(secondary), TokenVersion: "006",
		},
		Janus: janus.Config{
			KeyFile: rsaKey, PublicKeyFile: "public.der", PluginURL: "wss://sfu.example.com/janus", Audience: "rooms",
			APIURL: "wss://janus.example.com/janus", APISecret: usher.Secret(long), TokenAuthSecret: usher.Secret(long),
			AdminURL: "http://127.0.0.1:7088/admin", AdminSecret: usher.Secret(long), AdminKey: usher.Secret(long), NumericRooms: true,
			TTL: 3 * time.Minute, MaxTTL: 4 * time.Minute, ClockLeeway: 2 * time.Second,
		},
		Contacts: contact.Config{Max: 77},
		Signaling: signaling.Config{
			Enabled: true, Preset: signaling.AWS, TokenExpiry: signaling.Close, MaxMessage: 2048, Idle: 5 * time.Minute, Lifetime: 3 * time.Hour,
			Relay: limit.Rate{Count: 7, Per: time.Second}, Calls: limit.Rate{Count: 8, Per: time.Second},
			Connections: 9, Queue: 131072, ResumeWindow: time.Minute,
		},
		Calls: call.Config{
			Ring: 45 * time.Second, Connect: 46 * time.Second, Grace: 47 * time.Second, Longest: 48 * time.Hour, KeepMissed: 49 * time.Hour, Candidates: 50,
		},
		LiveKit: livekit.Config{URL: "wss://livekit.example.com", APIKey: "key", APISecret: usher.Secret(long)},
		TURN:    turnrest.Config{URLs: []string{"stun:turn.example.com", "turn:turn.example.com"}, Secret: usher.Secret(long), TTL: time.Hour},
		TURNServer: turn.Config{
			UDP: "127.0.0.1:3478", TCP: "127.0.0.1:3479", Realm: "example.com", RelayAddress: "198.51.100.7",
			MinPort: 50000, MaxPort: 50001, Quota: 3, AllowPeers: []string{"10.20.0.0/16"},
		},
		Collab: collab.Config{
			MaxValue: 1, MaxDocument: 2, MaxItems: 3, MaxObjects: 4, MaxPresence: 5, MaxPeers: 6, Grace: 7 * time.Second, Rate: limit.Rate{Count: 8, Per: time.Minute},
		},
		Web: config.Web{ClientID: "one", Issuer: "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_A", Connect: []string{"https://token.example.com"}},
		Log: config.Log{Level: "debug", Format: "json", Requests: true},
		Compat: config.Compat{
			VPaaS:    config.VPaaSDialect{Access: httpd.ByIdentity},
			Meetings: config.MeetingsDialect{Enabled: true, Access: httpd.ToPublic, Role: usher.Host},
			Agora:    config.AgoraDialect{Enabled: true, Access: httpd.ToPublic, Role: usher.Viewer},
			Janus:    config.JanusDialect{Enabled: true, Access: httpd.ToPublic, Role: usher.Speaker},
			LiveKit:  config.LiveKitDialect{Enabled: true, Access: httpd.ToPublic, Role: usher.Viewer},

			VideoChat: config.VideoChatDialect{Enabled: true, Access: httpd.ByIdentity},
			Connections: config.ConnectionsDialect{
				Listen: "127.0.0.1:83", Stage: "prod", AccessKeyID: "AKID0123456789AB", SecretAccessKey: usher.Secret(long), Rate: limit.Rate{Count: 9, Per: time.Second},
			},
			RoomService: config.RoomServiceDialect{
				Enabled: true, Access: httpd.ToPublic, Role: usher.Viewer, Lifetime: 90 * time.Minute,
			},
		},
	}

	var environ []string
	file := make(map[string]any)
	for _, s := range config.Settings() {
		text, given := values[s.Path]
		switch {
		case s.FileOnly || s.Path == "server.port" || s.Path == "server.tls.acme.domains": // which have tests of their own
			continue
		case !given:
			t.Errorf("%s is given a value nowhere in this test", s.Path)
			continue
		}
		environ = append(environ, s.Env+"="+text)
		section, path := file, strings.Split(s.Path, ".")
		for _, key := range path[:len(path)-1] {
			if section[key] == nil {
				section[key] = make(map[string]any)
			}
			section = section[key].(map[string]any)
		}
		section[path[len(path)-1]] = text
		if s.List {
			section[path[len(path)-1]] = strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
		}
	}
	text, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]config.Options{
		"a file":          {Path: write(t, string(text))},
		"the environment": {Environ: environ},
		"flags":           {Flags: values},
	} {
		t.Run(name, func(t *testing.T) {
			c, warnings := load(t, o)
			if diff := cmp.Diff(want, c); diff != "" {
				t.Error(diff)
			}
			if len(warnings) > 0 {
				t.Errorf("warnings = %q", warnings)
			}
		})
	}
}

func TestTheNamesOfVariablesFollowFromTheKeys(t *testing.T) {
	got := make(map[string]string)
	for _, s := range config.Settings() {
		got[s.Path] = s.Env
	}
	for path, want := range map[string]string{
		"data": "USHER_DATA", "server.publicURL": "USHER_SERVER_PUBLIC_URL", "server.trustedProxies": "USHER_SERVER_TRUSTED_PROXIES",
		"vpaas.credentials.clientId": "USHER_VPAAS_CREDENTIALS_CLIENT_ID", "audit.mode": "USHER_AUDIT_MODE",
		"compat.meetings.access": "USHER_COMPAT_MEETINGS_ACCESS",
	} {
		if got[path] != want {
			t.Errorf("%s is %q in the environment, want %s", path, got[path], want)
		}
	}
}

func TestLaterSourcesOverrideEarlierOnes(t *testing.T) {
	file := write(t, "data: file\nserver: {port: 1001}\nlog: {level: warn}")
	environ := []string{"USHER_DATA=env", "USHER_SERVER_PORT=1002"}
	for name, tc := range map[string]struct {
		o           config.Options
		data, https string
	}{
		"the preset":                   {config.Options{}, "usher-data", "localhost:3000"},
		"a file over the preset":       {config.Options{Path: file}, "file", "localhost:1001"},
		"the environment over a file":  {config.Options{Path: file, Environ: environ}, "env", "localhost:1002"},
		"an empty variable is not set": {config.Options{Path: file, Environ: []string{"USHER_DATA="}}, "file", "localhost:1001"},
		"flags over all": {
			config.Options{Path: file, Environ: environ, Flags: map[string]string{"data": "flag", "server.https": "127.0.0.1:0"}},
			"flag", "127.0.0.1:0",
		},
		"a flag switches a listener off": {
			config.Options{Path: file, Flags: map[string]string{"server.https": ""}}, "file", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			tc.o.Dev = true
			c, _ := load(t, tc.o)
			if c.Data != tc.data || c.Server.HTTPS != tc.https {
				t.Errorf("data, https = %q, %q, want %q, %q", c.Data, c.Server.HTTPS, tc.data, tc.https)
			}
		})
	}
}
