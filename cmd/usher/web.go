package main

import (
	"slices"

	"usher/client"
	"usher/internal/config"
)

// signIn is what the page is told of how to sign people in.
func signIn(cfg config.Config) client.WebConfig {
	issuer, ok := cfg.WebIssuer()
	switch {
	case ok:
		token := client.IDToken // which says the most of a user, and which every issuer has
		if uses := issuer.TokenUse; len(uses) > 0 && !slices.Contains(uses, string(token)) {
			token = client.AccessToken
		}
		return client.WebConfig{SignIn: client.SignInAtIssuer, Issuer: issuer.Issuer, ClientID: cfg.Web.ClientID, Token: token}
	case cfg.Dev:
		return client.WebConfig{SignIn: client.SignInByName}
	default:
		return client.WebConfig{SignIn: client.NoSignIn}
	}
}
