package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// userPool is npm's cognito-local with a pool, two apps and a user.
type userPool struct {
	*peer
	t      testing.TB
	client *http.Client
	base   string
	pool   string
	app    string
	other  string
	key    jose.JSONWebKey
}

// The user of the pool.
const (
	poolUser     = "ann@example.org"
	poolPassword = "correct-Horse-7-battery"
)

func newUserPool(t testing.TB) *userPool {
	t.Helper()
	c := &userPool{t: t, client: http.DefaultClient}
	c.start("http://127.0.0.1:", map[string]any{})
	return c
}

// newSecureUserPool makes one that is called over TLS, with a certificate of the
// authority.
func newSecureUserPool(t testing.TB, a *authority) *userPool {
	t.Helper()
	c := &userPool{t: t, client: a.client()}
	certFile, keyFile := a.issue()
	c.start("https://localhost:", map[string]any{"https": true, "cert": certFile, "key": keyFile})
	return c
}

// start starts the service, at a port behind what its address begins with, and
// makes a pool there.
func (c *userPool) start(address string, server map[string]any) {
	t := c.t
	t.Helper()
	dir, work, port := nodeDir(t, "cognito-local"), t.TempDir(), unusedPort(t)
	c.base = address + port
	settings, err := json.Marshal(map[string]any{"ServerConfig": server, "TokenConfig": map[string]string{"IssuerDomain": c.base}})
	if err == nil {
		err = os.Mkdir(filepath.Join(work, ".cognito"), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(work, ".cognito", "config.json"), settings, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	lib := filepath.Join(dir, "node_modules", "cognito-local", "lib")
	c.peer = startPeer(t, c.client, work, c.base+"/health", []string{"HOST=127.0.0.1", "PORT=" + port}, filepath.Join(lib, "bin", "start.js"))

	// Its key comes with the package, which is what lets a test forge tokens.
	var private struct{ JWK jose.JSONWebKey }
	if err := json.Unmarshal(readFile(t, filepath.Join(lib, "keys", "cognitoLocal.private.json")), &private); err != nil {
		t.Fatal(err)
	}
	c.key = private.JWK
	c.key.KeyID, c.key.Algorithm = "CognitoLocal", "RS256"

	var pool struct{ UserPool struct{ ID string } }
	c.call("CreateUserPool", map[string]any{"PoolName": "users"}, &pool)
	c.pool = pool.UserPool.ID
	for _, id := range []*string{&c.app, &c.other} {
		var made struct{ UserPoolClient struct{ ClientID string } }
		c.call("CreateUserPoolClient", map[string]any{"UserPoolId": c.pool, "ClientName": "app"}, &made)
		*id = made.UserPoolClient.ClientID
	}
	c.call("AdminCreateUser", map[string]any{
		"UserPoolId": c.pool, "Username": poolUser, "MessageAction": "SUPPRESS",
		"UserAttributes": []map[string]string{{"Name": "email", "Value": poolUser}},
	}, nil)
	c.call("AdminSetUserPassword", map[string]any{"UserPoolId": c.pool, "Username": poolUser, "Password": poolPassword, "Permanent": true}, nil)
}

// call is one of the service's operations.
func (c *userPool) call(operation string, request, result any) {
	c.t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		c.t.Fatal(err)
	}
	a, err := send(c.client, http.MethodPost, c.base, string(body),
		"Content-Type", "application/x-amz-json-1.1", "X-Amz-Target", "AWSCognitoIdentityProviderService."+operation)
	if err != nil || a.Status != http.StatusOK {
		c.t.Fatalf("%s: status %d and error %v: %s", operation, a.Status, err, a.Body)
	}
	if result == nil {
		return
	}
	if err := json.Unmarshal([]byte(a.Body), result); err != nil {
		c.t.Fatalf("%s: %v", operation, err)
	}
}

func (c *userPool) issuer() string { return c.base + "/" + c.pool }

// entry is what a configuration says of the pool.
func (c *userPool) entry() string {
	return fmt.Sprintf("  - issuer: %s\n    kind: cognito\n    clientIds: [%s]\n", c.issuer(), c.app)
}

// addUser makes another user, whose address is verified.
func (c *userPool) addUser(email string) {
	c.t.Helper()
	c.call("AdminCreateUser", map[string]any{
		"UserPoolId": c.pool, "Username": email, "MessageAction": "SUPPRESS",
		"UserAttributes": []map[string]string{{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}},
	}, nil)
	c.call("AdminSetUserPassword", map[string]any{"UserPoolId": c.pool, "Username": email, "Password": poolPassword, "Permanent": true}, nil)
}

// signIn gets tokens for the user, as an app does with its password.
func (c *userPool) signIn(app string) issuedTokens {
	c.t.Helper()
	return c.signInAs(app, poolUser)
}

// signInAs gets tokens for a user of that address.
func (c *userPool) signInAs(app, email string) issuedTokens {
	c.t.Helper()
	var result struct {
		AuthenticationResult struct{ IDToken, AccessToken string }
	}
	c.call("InitiateAuth", map[string]any{
		"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": app,
		"AuthParameters": map[string]string{"USERNAME": email, "PASSWORD": poolPassword},
	}, &result)
	return issuedTokens{result.AuthenticationResult.IDToken, result.AuthenticationResult.AccessToken}
}
