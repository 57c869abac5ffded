package agora_test

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	compatagora "usher/internal/compat/agora"
)

// A channel is one that Agora has, a uid is one number, and a lifetime is what
// its digits say.
func FuzzParameters(f *testing.F) {
	for _, seed := range [][3]string{
		{"test", "1", "expiry=1000"}, {"*", "0", "expiry=abc"}, {"a/b", "4294967296", "expiry=1&expiry=2"}, {" ", "01", "expiry=99999999999"},
		{"ä", "-1", "expiry="}, {"a b", "1e3", "expiry=%31"}, {"", "", ";"}, {"agora/messaging", "+1", "expiry=4294967297"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, channel, uid, query string) {
		if compatagora.CheckChannel(channel) == nil {
			printable := strings.IndexFunc(channel, func(r rune) bool { return r < ' ' || r > '~' }) < 0
			if len(channel) == 0 || len(channel) > 63 || !printable || strings.ContainsAny(channel, `*/"'\`+"`") || strings.TrimSpace(channel) == "" {
				t.Errorf("%q was taken for a channel", channel)
			}
		}
		if user, err := compatagora.UserOf("uid", uid); err == nil {
			n, err := strconv.ParseInt(uid, 10, 64)
			if err != nil || n < 1 || n > 1<<32-1 || strconv.FormatInt(n, 10) != uid || user != uid {
				t.Errorf("%q was taken for the uid %q", uid, user)
			}
		}
		lifetime, err := compatagora.LifetimeOf(query)
		if err != nil {
			return
		}
		values, err := url.ParseQuery(query)
		if err != nil || len(values["expiry"]) > 1 {
			t.Errorf("%q was read as %v", query, lifetime)
		}
		want := time.Hour
		if text := values.Get("expiry"); text != "" {
			n, err := strconv.ParseInt(text, 10, 32)
			if want = time.Duration(n) * time.Second; err != nil || n < 1 || n > 86400 || strings.Trim(text, "0123456789") != "" {
				t.Errorf("the expiry %q was taken for %v", text, lifetime)
			}
		}
		if lifetime != want {
			t.Errorf("%q: got %v, want %v", query, lifetime, want)
		}
	})
}
