package webhook_test

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"usher"
	"usher/internal/webhook"
)

func TestMistakesInTargetsAreSaid(t *testing.T) {
	for name, tt := range map[string]struct {
		edit func(*webhook.Config)
		want string // the field
	}{
		"sound":                  {func(*webhook.Config) {}, ""},
		"sound with everything":  {func(c *webhook.Config) { c.FormerSecret, c.Events, c.Timeout = secret, []string{"ended"}, time.Second }, ""},
		"no name":                {func(c *webhook.Config) { c.Name = "" }, "[0].name"},
		"a name with more":       {func(c *webhook.Config) { c.Name = "My app" }, "[0].name"},
		"a long name":            {func(c *webhook.Config) { c.Name = strings.Repeat("a", 65) }, "[0].name"},
		"no URL":                 {func(c *webhook.Config) { c.URL = "" }, "[0].url"},
		"a file":                 {func(c *webhook.Config) { c.URL = "file:///etc/passwd" }, "[0].url"},
		"a user in the URL":      {func(c *webhook.Config) { c.URL = "https://a:b@app.example/" }, "[0].url"},
		"no secret":              {func(c *webhook.Config) { c.Secret = "" }, "[0].secret"},
		"a short secret":         {func(c *webhook.Config) { c.Secret = "whsec_AAAA" }, "[0].secret"},
		"a secret without whsec": {func(c *webhook.Config) { c.Secret = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }, "[0].secret"},
		"a bad former secret":    {func(c *webhook.Config) { c.FormerSecret = "x" }, "[0].formerSecret"},
		"no event of ours":       {func(c *webhook.Config) { c.Events = []string{"ended", "exploded"} }, "[0].events"},
		"too long a timeout":     {func(c *webhook.Config) { c.Timeout = time.Hour }, "[0].timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			got := webhook.Validate(config(tt.edit))
			switch {
			case tt.want == "" && len(got) > 0, tt.want != "" && (len(got) != 1 || got[0].Field != tt.want):
				t.Errorf("got %v, want a mistake in %q", got, tt.want)
			case tt.want != "" && strings.Contains(got[0].Message, "MfKQ"):
				t.Error("the mistake repeats the secret")
			}
		})
	}
	if got := webhook.Validate(append(config(), config()...)); len(got) != 1 || got[0].Field != "[1].name" {
		t.Errorf("twice: %v", got)
	}
}

func TestASecretThatIsMadeIsOneThatIsTaken(t *testing.T) {
	made, err := webhook.NewSecret(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if got := webhook.Validate(config(func(c *webhook.Config) { c.Secret = made })); len(got) > 0 {
		t.Error(got)
	}
}

// The example of the specification of Standard Webhooks.
func TestSignaturesAreThoseOfStandardWebhooks(t *testing.T) {
	got, err := webhook.Sign([]usher.Secret{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, `{"test": 2432232314}`)
	if err != nil {
		t.Fatal(err)
	}
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
