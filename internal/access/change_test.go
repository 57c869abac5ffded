package access_test

import (
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/access"
	"usher/internal/limit"
	"usher/internal/platform"
	"usher/internal/policy"
)

func TestWhatIsInForceCanChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := newSFU(), newSFU()
		a := node(t, openStore(t), first)
		r, ann := named(t, a, "stand-up"), user("ann")
		media := map[string]platform.Platform{}
		config := access.Config{}
		second.with(&config)
		for name, p := range config.Platforms {
			media[name] = p
		}
		if !a.Fits(media) {
			t.Fatal("the same platforms do not fit")
		}
		for name := range media {
			fewer := map[string]platform.Platform{}
			for other, p := range media {
				if other != name {
					fewer[other] = p
				}
			}
			if a.Fits(fewer) {
				t.Errorf("without %s they fit", name)
			}
		}
		unable := map[string]platform.Platform{}
		for name, p := range media {
			unable[name] = struct{ platform.Platform }{p} // which hides what it can do more
		}
		if a.Fits(unable) {
			t.Error("those that can do less fit")
		}

		first.let(t, a, ann, r, "7")
		a.Change(access.InForce{Policy: policy.DefaultConfig(), Platforms: media, Limits: limit.Config{Mint: limit.Rate{Count: 1, Per: time.Hour}}})
		second.let(t, a, user("ben"), r, "8")
		if first.has(r.Name, "8") || !second.has(r.Name, "8") {
			t.Error("the platform is the one before")
		}
		_, err := a.Credential(t.Context(), user("ben"), "stand-up", access.CredentialSpec{Platform: "sfu", Subject: "8"})
		if code(err) != "rate_limited" {
			t.Errorf("beyond the limit: %v", err)
		}
		run(t, a)
		ban(t, a, r, access.BanSpec{Identity: user("ben").Key()})
		time.Sleep(3 * time.Second)
		if second.has(r.Name, "8") {
			t.Error("the new platform did not put out whom it let in")
		}
	})
}
