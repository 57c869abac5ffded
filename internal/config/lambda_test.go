package config_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher/internal/config"
	"usher/internal/identity"
)

const sealKey = "USHER_STORE_SEAL_KEY=0123456789abcdef0123456789abcdef"

func TestAFunctionNeedsNothingButItsEnvironment(t *testing.T) {
	c, warnings := load(t, config.Options{OnLambda: true, Environ: []string{
		"USER_POOL=arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_AbC", "USER_POOL_CLIENTS=one,two", sealKey,
	}})
	want := config.OnLambda()
	want.Store.SealKey = "0123456789abcdef0123456789abcdef"
	want.Lambda.UserPool, want.Lambda.UserPoolClients = "arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_AbC", []string{"one", "two"}
	want.Issuers = []identity.IssuerConfig{
		{Issuer: "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC", Kind: identity.Cognito, ClientIDs: []string{"one", "two"}},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
	if c.Store.Driver != config.DynamoDB || !c.Compat.VideoChat.Enabled || c.StoreIssuer() != want.Issuers[0].Issuer {
		t.Errorf("got %+v", c)
	}
	if len(warnings) > 0 {
		t.Errorf("warnings are %q", warnings)
	}
}

func TestWhatCantBeOnLambdaIsRefused(t *testing.T) {
	environ := []string{"USER_POOL=arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_AbC", "USER_POOL_CLIENTS=one", sealKey}
	for name, tt := range map[string]struct {
		environ []string
		text    string
		want    []string
	}{
		"nothing at all":            {[]string{}, "", []string{"issuers", "store.sealKey"}},
		"a pool without clients":    {[]string{environ[0], sealKey}, "", []string{"issuers"}},
		"no ARN":                    {[]string{"USER_POOL=eu-west-1_AbC", "USER_POOL_CLIENTS=one", sealKey}, "", []string{"issuers", "lambda.userPool"}},
		"a short key":               {append(environ[:2:2], "USHER_STORE_SEAL_KEY=short"), "", []string{"store.sealKey"}},
		"a file":                    {environ, "store: {driver: sqlite}", []string{"store.driver"}},
		"what listens":              {environ, "server: {http: ':8080', publicURL: 'https://a.example'}", []string{"server.http"}},
		"dialects with connections": {environ, "compat: {vpaas: {enabled: true}, roomservice: {enabled: true}}", []string{"compat.roomservice.enabled", "compat.vpaas.enabled"}},
		"webhooks":                  {environ, "webhooks: [{name: a, url: 'https://a.example', secret: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz}]", []string{"webhooks"}},
		"an endpoint in the clear":  {environ, "lambda: {endpoint: 'http://a.example/dev'}", []string{"lambda.endpoint"}},
		"one on this machine":       {environ, "lambda: {endpoint: 'http://127.0.0.1:3001/dev'}", nil},
	} {
		o := config.Options{OnLambda: true, Environ: tt.environ}
		if tt.text != "" {
			o.Path = write(t, tt.text)
		}
		_, _, err := config.Load(o)
		var got []string
		if failed, ok := errors.AsType[*config.Error](err); ok {
			for _, p := range failed.Problems {
				got = append(got, p.Field)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want mistakes in %q", name, err, tt.want)
		}
	}
}

func TestAUserPoolIsAnIssuerOfServersToo(t *testing.T) {
	for name, tt := range map[string]struct {
		environ []string
		want    string
	}{
		"with clients":    {[]string{"USER_POOL=arn:aws-cn:cognito-idp:cn-north-1:1:userpool/cn-north-1_A", "USER_POOL_CLIENTS=one"}, "https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_A"},
		"without clients": {[]string{"USER_POOL=arn:aws:cognito-idp:us-east-1:1:userpool/us-east-1_A"}, ""},
	} {
		c, _, err := config.Load(config.Options{Dev: true, Environ: tt.environ})
		if err != nil || c.StoreIssuer() != tt.want {
			t.Errorf("%s: the issuer is %q, error %v, want %q", name, c.StoreIssuer(), err, tt.want)
		}
	}
}
