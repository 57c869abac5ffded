package e2e_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/platform/agora"
)

// A project that there is not, made up for tests, in the place of the seed's
// 970XXXXX... and 5CFXXXXX....
const (
	agoraAppID       = "970ca35de60c44645bbae8a215061b33"
	agoraCertificate = "5cfd2fd1755d40ecb72977518be15d3b"
)

// The addresses of the tutorial, as its page prints them.
const (
	seedPublisher  = "http://localhost:8080/rtc/test/publisher/uid/1"
	seedShort      = "localhost:8080/rtc/test/publisher/uid/1?expiry=1000"
	seedSubscriber = "localhost:8080/rtc/test/subscriber/userAccount/ekaansh"
	seedMessaging  = "http://localhost:8080/rtm/1"
)

// agoraFolder returns a working directory with the seed's .env.
func agoraFolder(t *testing.T, more ...string) string {
	t.Helper()
	dir := t.TempDir()
	env := fmt.Sprintf("APP_ID=%s\nAPP_CERTIFICATE=%s\nPORT=8080\n", agoraAppID, agoraCertificate)
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(env+strings.Join(more, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTheURLsOfTheAgoraTutorialWorkAsPrinted(t *testing.T) {
	needs(t, "curl")
	for version, more := range map[string][]string{"007": nil, "006": {"AGORA_TOKEN_VERSION=006"}} {
		t.Run(version, func(t *testing.T) {
			freePort(t, "3000")
			freePort(t, "8080")
			s := start(t, options{DefaultPorts: true, Dir: agoraFolder(t, more...)})
			s.Secret(agoraCertificate)
			tutorialTokens(t, s, version, func(address string) string { return "curl -s '" + address + "'" })
		})
	}
}

// tutorialTokens gets what the tutorial's page shows, by the commands that curl
// makes of its addresses, and checks it.
func tutorialTokens(t *testing.T, s *Server, version string, curl func(address string) string) []agoraToken {
	t.Helper()
	var tokens []agoraToken
	for address, want := range map[string]struct {
		member   string
		is       agoraToken
		lifetime time.Duration
	}{
		seedPublisher:  {"rtcToken", agoraToken{Service: "rtc", Channel: "test", User: "1", Publisher: true}, time.Hour},
		seedShort:      {"rtcToken", agoraToken{Service: "rtc", Channel: "test", User: "1", Publisher: true}, 1000 * time.Second},
		seedSubscriber: {"rtcToken", agoraToken{Service: "rtc", Channel: "test", User: "ekaansh"}, time.Hour},
		seedMessaging:  {"rtmToken", agoraToken{Service: "rtm", User: "1"}, time.Hour},
	} {
		got := record(t, shell(t, curl(address)))
		token, _ := got[want.member].(string)
		if len(got) != 1 || !strings.HasPrefix(token, version) {
			t.Errorf("%s: got %v, want only the member %s, a token of %s", address, got, want.member, version)
			continue
		}
		s.Secret(token)
		if problem := checkAgora(token, want.is.Channel, want.is.User, want.lifetime); problem != "" {
			t.Errorf("%s: %s", address, problem)
		}
		want.is.Token, want.is.Version = token, version
		tokens = append(tokens, want.is)
	}
	return tokens
}

// checkAgora returns what is wrong with a token, which is for messaging if no
// channel is named.
func checkAgora(token, channel, user string, lifetime time.Duration) string {
	var ends time.Time
	if strings.HasPrefix(token, "006") {
		signed, err := agora.Parse006(usher.Secret(token))
		if err != nil {
			return err.Error()
		}
		if channel == "" {
			channel, user = user, "" // where a token for messaging has its user
		}
		if !signed.Verify(channel, user, agoraCertificate) || signed.AppID != agoraAppID {
			return fmt.Sprintf("the token is not for %s in %s", user, channel)
		}
		// The library gives every token a day, and only its privileges less.
		ends = time.Unix(int64(signed.Privileges[0].Expires), 0)
	} else {
		signed, err := agora.Parse007(usher.Secret(token))
		if err != nil {
			return err.Error()
		}
		s := signed.Services[0]
		if !signed.Verify(agoraCertificate) || signed.AppID != agoraAppID || s.Channel != channel || s.User != user || len(signed.Services) != 1 {
			return fmt.Sprintf("the token is for %+v, want %s in %s", signed.Services, user, channel)
		}
		ends = time.Unix(int64(signed.IssuedAt+signed.Lifetime), 0)
	}
	if left := time.Until(ends); left > lifetime+time.Second || left < lifetime-time.Minute {
		return fmt.Sprintf("the token ends in %v, want %v", left, lifetime)
	}
	return ""
}

func TestNoParameterMakesAnEndlessOrWildcardToken(t *testing.T) {
	t.Parallel()
	s := start(t, options{Dir: agoraFolder(t)})
	for _, path := range []string{
		"/rtc/test/publisher/uid/1?expiry=abc", "/rtc/test/publisher/uid/1?expiry=1e3", "/rtc/test/publisher/uid/1?expiry=-1",
		"/rtc/test/publisher/uid/1?expiry=99999999999", "/rtc/test/publisher/uid/1?expiry=10&expiry=20", "/rtm/1?expiry=4294967296",
		"/rtc/test/publisher/uid/0", "/rtc/test/publisher/uid/4294967296", "/rtc/test/publisher/uid/text", "/rtm/0",
		"/rtc/*/publisher/uid/1", "/rtc/%20/publisher/uid/1", "/rtc/test/host/uid/1", "/rtc/test/publisher/number/1",
	} {
		a := s.do(http.MethodGet, path, "")
		var refusal struct{ Error string }
		if err := json.Unmarshal([]byte(a.Body), &refusal); err != nil || a.Status != http.StatusBadRequest || refusal.Error == "" {
			t.Errorf("%s: got %d %s, want 400 and why, as JSON", path, a.Status, a.Body)
		}
		if got := a.Header.Get("Cache-Control"); got != "private, no-cache, no-store, must-revalidate" {
			t.Errorf("%s: Cache-Control is %q", path, got)
		}
	}
}

// agoraToken is a token and what it is for.
type agoraToken struct {
	Token     string `json:"token"`
	Version   string `json:"version"`
	Service   string `json:"service"`
	Channel   string `json:"channel"`
	User      string `json:"user"`
	Publisher bool   `json:"publisher"`
	Expire    int    `json:"expire"`
}

// drawAgora returns something to ask a token for.
func drawAgora(r *rand.Rand, version string) agoraToken {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 !#$%&()+-:;<=.>?@[]^_{}|~,"
	name := func(longest int) string {
		b := []byte{'n'}
		for range r.IntN(longest - 1) {
			b = append(b, letters[r.IntN(len(letters))])
		}
		return strings.TrimSpace(string(b))
	}
	d := agoraToken{
		Version: version, Service: "rtc", Channel: name(63), User: strconv.Itoa(1 + r.IntN(1<<32-1)),
		Publisher: r.IntN(2) == 0, Expire: 60 + r.IntN(86400-60),
	}
	if r.IntN(4) == 0 {
		d.Service, d.Channel = "rtm", ""
	}
	if r.IntN(2) == 0 {
		d.User = name(64)
	}
	return d
}

// privileges are those that the token must have, as numbers.
func (d agoraToken) privileges() []int {
	switch {
	case d.Service == "rtm" && d.Version == "006":
		return []int{agora.LoginRTM}
	case d.Service == "rtm":
		return []int{agora.Login}
	case d.Publisher:
		return []int{agora.JoinChannel, agora.PublishAudio, agora.PublishVideo, agora.PublishData}
	default:
		return []int{agora.JoinChannel}
	}
}

// Agora's library reads and verifies what we mint, and we what it mints.
func TestAgorasLibraryAndWeReadEachOthersTokens(t *testing.T) {
	for _, version := range []string{"007", "006"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := start(t, options{Dir: agoraFolder(t, "AGORA_TOKEN_VERSION="+version)})
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			r := rand.New(rand.NewPCG(seed, 0))
			var ours, theirs []agoraToken
			for range 60 {
				ours = append(ours, s.mintAgora(drawAgora(r, version)))
				theirs = append(theirs, drawAgora(r, version))
			}
			read := make([]agoraToken, len(ours))
			for i, d := range ours {
				if read[i] = d; d.Service == "rtm" && version == "006" {
					read[i].Channel, read[i].User = d.User, "" // where such a token has its user
				}
			}
			result := askLibrary(t, s, read, theirs)
			for i, d := range ours {
				got := result.Read[i]
				if problem := got.problem(d, read[i]); problem != "" {
					t.Errorf("%+v: %s", d, problem)
					continue
				}
				if left := time.Until(time.Unix(got.Ends, 0)).Seconds(); left > float64(d.Expire) || left < float64(d.Expire-60) {
					t.Errorf("%+v: ends in %.0f s", d, left)
				}
			}
			for i, d := range theirs {
				if problem := checkAgora(result.Minted[i], d.Channel, d.User, time.Duration(d.Expire)*time.Second); problem != "" {
					t.Errorf("%+v, by the library: %s", d, problem)
				}
				s.wantInspected(result.Minted[i], d)
			}
		})
	}
}

// libraryToken is what Agora's library finds in a token.
type libraryToken struct {
	Parsed, Verified, VerifiedByOther bool
	AppID                             string
	Ends                              int64
	Services                          []struct {
		Channel, User string
		Privileges    map[int]int64
	}
}

type libraryResult struct {
	Read   []libraryToken
	Minted []string
}

// askLibrary has Agora's library read tokens and mint others.
func askLibrary(t *testing.T, s *Server, read, mint []agoraToken) libraryResult {
	t.Helper()
	var result libraryResult
	node(t, s, "agora.mjs", map[string]any{
		"appId": agoraAppID, "certificate": agoraCertificate, "otherCertificate": strings.Repeat("0", 32),
		"read": read, "mint": mint,
	}, &result)
	return result
}

// problem is what is wrong with a token that the library has read, where it has
// channel and user as in read.
func (got libraryToken) problem(d, read agoraToken) string {
	if !got.Parsed || !got.Verified || got.VerifiedByOther || got.AppID != agoraAppID || len(got.Services) != 1 {
		return fmt.Sprintf("the library makes of it %+v", got)
	}
	service := got.Services[0]
	if service.Channel != read.Channel || service.User != read.User {
		return fmt.Sprintf("the library reads %+v", service)
	}
	var privileges []int
	for _, p := range []int{1, 2, 3, 4, agora.LoginRTM} {
		if _, has := service.Privileges[p]; has {
			privileges = append(privileges, p)
		}
	}
	if diff := cmp.Diff(d.privileges(), privileges); diff != "" || len(privileges) != len(service.Privileges) {
		return "privileges (-want +got):\n" + diff
	}
	return ""
}

// wantInspected checks that the server finds a token good.
func (s *Server) wantInspected(token string, d agoraToken) {
	s.t.Helper()
	body, err := json.Marshal(map[string]string{"token": token, "room": d.Channel, "subject": d.User})
	if err != nil {
		s.t.Fatal(err)
	}
	a := s.must(http.StatusOK, http.MethodPost, "/api/v1/credentials/inspect", string(body), "Content-Type", "application/json")
	if got := a.text(s.t, "format"); got != "agora "+d.Version {
		s.t.Errorf("%+v: inspected as %q", d, got)
	}
	if got := a.text(s.t, "verified"); got != "good" {
		s.t.Errorf("%+v: inspected and found %s: %s", d, got, a.Body)
	}
}

// mintAgora has the server mint a token.
func (s *Server) mintAgora(d agoraToken) agoraToken {
	s.t.Helper()
	if d.Service == "rtm" {
		d.Token = s.must(http.StatusOK, http.MethodGet, "/rtm/"+url.PathEscape(d.User)+"/?expiry="+strconv.Itoa(d.Expire), "").text(s.t, "rtmToken")
		return d
	}
	role := "subscriber"
	if d.Publisher {
		role = "publisher"
	}
	body, err := json.Marshal(map[string]any{"tokenType": "rtc", "channel": d.Channel, "uid": d.User, "role": role, "expire": d.Expire})
	if err != nil {
		s.t.Fatal(err)
	}
	d.Token = s.must(http.StatusOK, http.MethodPost, "/getToken", string(body), "Content-Type", "application/json").text(s.t, "token")
	return d
}
