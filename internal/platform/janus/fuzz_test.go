package janus_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"usher"
	"usher/internal/platform"
	"usher/internal/platform/janus"
)

// FuzzInspect holds what we say about any text against the checkers: what they
// take we verify, and what the plugin refuses has a problem.
func FuzzInspect(f *testing.F) {
	p := newPlatform(f, config())
	for _, format := range []string{"sfu", "core", "videoroom"} {
		f.Add(issue(f, p, request(format)).Token.Reveal())
	}
	for _, v := range verdicts {
		f.Add(v.token())
	}
	f.Add("1795176300,janus.plugin.videoroom,room=a,room=b:AAAA")
	sfu := plugin{authKey: export(f)}
	f.Fuzz(func(t *testing.T, token string) {
		in, ok := p.Inspect(usher.Secret(token), now)
		refused := sfu.join(&token, in.Room, now) != accepted
		data, _, _ := strings.Cut(token, ":")
		fields := append(strings.Split(data, ","), "", "")
		signed := core(tokenAuthSecret, token, fields[1], fields[2], now)
		if !ok {
			if !refused || signed && strings.HasPrefix(fields[1], "janus") {
				t.Error("Janus takes it and it was not recognised")
			}
			return
		}
		if in.Platform != janus.Name || in.Format == "" {
			t.Errorf("got %+v", in)
		}
		if (!refused || signed) && in.Verified != platform.Good {
			t.Errorf("Janus takes it and we find it %s", in.Verified)
		}
		if in.Room != "" && refused && !signed && len(in.Problems) == 0 {
			t.Errorf("Janus refuses it for %q and we find nothing", in.Room)
		}
		if text, err := json.Marshal(in); err != nil || bytes.Contains(text, []byte(tokenAuthSecret)) {
			t.Errorf("it is written as %s, %v", text, err)
		}
	})
}

// FuzzClaims puts any payload behind a good signature.
func FuzzClaims(f *testing.F) {
	p := newPlatform(f, config())
	for _, v := range verdicts {
		if v.claims != "" {
			f.Add("{"+at(v.claims)+"}", "55")
		}
	}
	sfu := plugin{authKey: export(f)}
	f.Fuzz(func(t *testing.T, claims, room string) {
		token := craft(newKey(), rs512, claims)
		in, ok := p.Inspect(usher.Secret(token), now)
		why := sfu.join(&token, room, now)
		switch {
		case why == accepted && len(token) < 16<<10 && (!ok || in.Verified != platform.Good):
			t.Errorf("the plugin takes it for %q, and we find %+v", room, in)
		case why == invalidToken && ok && len(in.Problems) == 0:
			t.Error("the plugin refuses it, and we find nothing")
		case ok && in.Room != "" && in.Room == room && why != accepted && len(in.Problems) == 0:
			t.Errorf("it is for %q, and the plugin says %s", room, why)
		}
	})
}

// FuzzKeys reads any file as a key: what is read can be exported and read again,
// and no error tells what was in it.
func FuzzKeys(f *testing.F) {
	for _, file := range keyFiles(f, newKey()) {
		f.Add(file)
	}
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		der, err := janus.ConvertDER(file)
		if err != nil {
			checkKeyError(t, err)
		} else if again, err := janus.ConvertDER(der); err != nil || !bytes.Equal(again, der) {
			t.Errorf("what was converted is converted again into something else, %v", err)
		}
		key, err := janus.ParsePrivateKey(file)
		if err != nil {
			checkKeyError(t, err)
			return
		}
		if public, err := janus.ExportDER(key); err != nil || !bytes.Equal(public, der) {
			t.Errorf("the private key and its public half differ, %v", err)
		}
	})
}

func checkKeyError(t *testing.T, err error) {
	t.Helper()
	if text := err.Error(); !strings.HasPrefix(text, "janus: ") || len(text) > 300 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("an error of another form: %q", text)
	}
}

// FuzzAdminAnswers gives Janus's part to the fuzzer.
func FuzzAdminAnswers(f *testing.F) {
	f.Add(200, `{"janus":"success","transaction":"%s","response":{"videoroom":"participants","participants":[{"id":"a"}]}}`)
	f.Add(200, `{"janus":"error","transaction":"%s","error":{"code":403,"reason":"\u0000"}}`)
	f.Add(200, `{"janus":"success","transaction":"%s","response":{"error_code":"x"}}`)
	f.Add(500, `[]`)
	f.Fuzz(func(t *testing.T, status int, text string) {
		p := adminAnswers(t, 200+(status%400+400)%400, text)
		n, err := p.Count(t.Context(), "my-room")
		if n < 0 || err != nil && n != 0 {
			t.Errorf("%d are in the room, %v", n, err)
		}
		for _, err := range []error{err, p.Eject(t.Context(), "my-room", "alice"), p.CloseRoom(t.Context(), "my-room"), p.OpenRoom(t.Context(), "my-room")} {
			e, ok := errors.AsType[*usher.Error](err)
			if err != nil && (!ok || e.Kind != usher.Upstream && e.Kind != usher.Conflict || len(err.Error()) > 1500 || strings.Contains(err.Error(), "canary")) {
				t.Errorf("an error of another form: %v", err)
			}
		}
	})
}
