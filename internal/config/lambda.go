package config

import (
	"regexp"
	"slices"

	"usher/internal/identity"
)

// Lambda is what functions on AWS Lambda need beside all else, which also counts
// there.
type Lambda struct {
	// Endpoint is for custom domains and for stand-ins of API Gateway.
	Endpoint        string   `yaml:"endpoint" doc:"Where API Gateway takes what is sent to WebSocket connections, such as https://abc123.execute-api.us-east-1.amazonaws.com/dev. Without it, the domain and stage that a connection was made by; an API with a domain of your own needs it."`
	UserPool        string   `yaml:"userPool" env:"USER_POOL" doc:"The ARN of a Cognito user pool, in place of an entry of issuers. It counts only with userPoolClients."`
	UserPoolClients []string `yaml:"userPoolClients" env:"USER_POOL_CLIENTS" doc:"The ids of the pool's app clients whose users are known."`
}

// OnLambda returns what takes the place of [Default] on AWS Lambda: the store is
// DynamoDB, nothing listens, and the serverless video chat is served.
func OnLambda() Config {
	c := Default()
	c.OnLambda = true
	c.Server.HTTP = ""
	c.Store.Driver = DynamoDB
	c.Signaling.Preset = "aws"
	c.Compat.VPaaS.Enabled = false
	c.Compat.VideoChat.Enabled = true
	c.Log.Format = "json"
	return c
}

// poolARN is the name of a user pool, by its region and id.
var poolARN = regexp.MustCompile(`^arn:aws(-cn|-us-gov)?:cognito-idp:([a-z0-9-]+):[0-9]*:userpool/([A-Za-z0-9_-]+)$`)

// useUserPool enters the pool that was named in short among the issuers.
func (c *Config) useUserPool() {
	arn := poolARN.FindStringSubmatch(c.Lambda.UserPool)
	if arn == nil || len(c.Lambda.UserPoolClients) == 0 {
		return
	}
	domain := ".amazonaws.com/"
	if arn[1] == "-cn" {
		domain = ".amazonaws.com.cn/"
	}
	pool := identity.IssuerConfig{
		Issuer: "https://cognito-idp." + arn[2] + domain + arn[3], Kind: identity.Cognito, ClientIDs: c.Lambda.UserPoolClients,
	}
	if !slices.ContainsFunc(c.Issuers, func(i identity.IssuerConfig) bool { return i.Issuer == pool.Issuer }) {
		c.Issuers = append(c.Issuers, pool)
	}
}

// lambda checks the section, and on Lambda what can't be there.
func (v *validator) lambda(c Config) {
	if c.Lambda.Endpoint != "" {
		u, message := parseURL(c.Lambda.Endpoint)
		if message == "" && u.Scheme == "http" && !isLoopback(u.Hostname()) {
			message = "must begin with https://; only a stand-in on this machine may have http://"
		}
		v.check("lambda.endpoint", message == "", message)
	}
	v.check("lambda.userPool", c.Lambda.UserPool == "" || poolARN.MatchString(c.Lambda.UserPool),
		"must be the ARN of a user pool, as in arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_AbCdEfGhI")
	if !c.OnLambda {
		return
	}
	v.check("store.driver", c.Store.Driver == DynamoDB, "must be dynamodb on AWS Lambda, where no file outlives a call")
	v.check("store.sealKey", c.Store.SealKey != "", "is needed on AWS Lambda, where there is no data folder: a random text of at least 32 characters, the same for all functions")
	v.check("issuers", len(c.Issuers) > 0 || c.Session.Enabled(), "must name who knows the users, or lambda.userPool and lambda.userPoolClients must")
	v.check("janus.keyFile", !c.Janus.Enabled() || !c.Janus.NeedsKey(), "must be set on AWS Lambda, where there is no data folder to keep a key in")
	const process = "can't be on AWS Lambda, where no process lives on between two calls: run usher serve for that"
	for path, on := range map[string]bool{
		"server.http": c.Server.HTTP != "", "server.https": c.Server.HTTPS != "", "turnServer": c.TURNServer.Enabled(), "webhooks": len(c.Webhooks) > 0,
		"compat.vpaas.enabled": c.Compat.VPaaS.Enabled, "compat.roomservice.enabled": c.Compat.RoomService.Enabled,
	} {
		v.check(path, !on, process)
	}
}
