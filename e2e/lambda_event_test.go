package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Events as API Gateway writes them, in every member that it has.

const (
	apiID   = "abcdef1234"
	account = "123456789012"
	stage   = "dev"
	agent   = "Mozilla/5.0 (test)"
)

// stamp is the time as the gateway writes it.
func stamp(at time.Time) string { return at.UTC().Format("02/Jan/2006:15:04:05 -0700") }

// one is a map with the first value of each name, or nil if there is none: an
// event has null then.
func one(values map[string][]string) map[string]string {
	if len(values) == 0 {
		return nil
	}
	first := make(map[string]string)
	for name, list := range values {
		first[name] = list[len(list)-1] // the last counts
	}
	return first
}

func many(values map[string][]string) map[string][]string {
	if len(values) == 0 {
		return nil
	}
	return values
}

// stringClaims are a token's claims as the gateway's authorizer of a user pool
// hands them on: all of them text. It has looked at the token; here nobody has.
func stringClaims(token string) map[string]any {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims map[string]any
	if err != nil || json.Unmarshal(text, &claims) != nil {
		return nil
	}
	for name, value := range claims {
		if number, ok := value.(float64); ok {
			value = int64(number)
		}
		claims[name] = fmt.Sprint(value)
	}
	return claims
}

// resourceOf returns the resource of the video chat's REST API that a path is of.
func resourceOf(path string) (resource string, parameters map[string]string) {
	if id, found := strings.CutPrefix(path, "/contacts/"); found {
		if plain, err := url.PathUnescape(id); err == nil {
			id = plain
		}
		return "/contacts/{contactId}", map[string]string{"contactId": id}
	}
	return path, nil
}

// restEvent is an event of a REST API with a user pool's authorizer.
func restEvent(r *http.Request, path string, body []byte) map[string]any {
	resource, parameters := resourceOf(path)
	now := time.Now()
	event := map[string]any{
		"resource": resource, "path": path, "httpMethod": r.Method,
		"headers": one(r.Header), "multiValueHeaders": many(r.Header),
		"queryStringParameters": one(r.URL.Query()), "multiValueQueryStringParameters": many(r.URL.Query()),
		"pathParameters": parameters, "stageVariables": nil, "body": nil, "isBase64Encoded": false,
		"requestContext": map[string]any{
			"resourceId": "res123", "resourcePath": resource, "httpMethod": r.Method, "extendedRequestId": "Abc1EFg2oAMFYnA=", "requestTime": stamp(now),
			"path": "/" + stage + path, "accountId": account, "protocol": "HTTP/1.1", "stage": stage, "domainPrefix": apiID, "requestTimeEpoch": now.UnixMilli(),
			"requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef", "domainName": apiID + ".execute-api.us-east-1.amazonaws.com", "apiId": apiID,
			"authorizer": map[string]any{"claims": stringClaims(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))},
			"identity": map[string]any{
				"cognitoIdentityPoolId": nil, "accountId": nil, "cognitoIdentityId": nil, "caller": nil, "sourceIp": "203.0.113.7", "principalOrgId": nil,
				"accessKey": nil, "cognitoAuthenticationType": nil, "cognitoAuthenticationProvider": nil, "userArn": nil, "userAgent": agent, "user": nil,
			},
		},
	}
	if len(body) > 0 {
		event["body"] = string(body)
	}
	return event
}

// httpEvent is an event of an HTTP API, of the format 2.0, with the body in base64.
func httpEvent(r *http.Request, path string, body []byte) map[string]any {
	resource, parameters := resourceOf(path)
	now := time.Now()
	headers := make(map[string]string)
	for name, values := range r.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	event := map[string]any{
		"version": "2.0", "routeKey": r.Method + " " + resource, "rawPath": "/" + stage + path, "rawQueryString": r.URL.RawQuery, "headers": headers, "isBase64Encoded": false,
		"requestContext": map[string]any{
			"accountId": account, "apiId": apiID, "domainName": apiID + ".execute-api.us-east-1.amazonaws.com", "domainPrefix": apiID,
			"http":      map[string]any{"method": r.Method, "path": "/" + stage + path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7", "userAgent": agent},
			"requestId": "JKJaXmPLvHcESHA=", "routeKey": r.Method + " " + resource, "stage": stage, "time": stamp(now), "timeEpoch": now.UnixMilli(),
			"authorizer": map[string]any{"jwt": map[string]any{"claims": stringClaims(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")), "scopes": nil}},
		},
	}
	if parameters != nil {
		event["pathParameters"] = parameters
	}
	if len(body) > 0 {
		event["body"], event["isBase64Encoded"] = base64.StdEncoding.EncodeToString(body), true
	}
	return event
}

// socketContext is what all events of one connection have.
func (c *gatewayConn) context(route, kind string) map[string]any {
	now := time.Now()
	context := map[string]any{
		"routeKey": route, "eventType": kind, "extendedRequestId": "Fc5SzEALoAMFrXA=", "requestTime": stamp(now), "messageDirection": "IN", "stage": stage,
		"connectedAt": c.at.UnixMilli(), "requestTimeEpoch": now.UnixMilli(), "requestId": "Fc5SzEALoAMFrXA=",
		"domainName": c.gateway.domain(), "connectionId": c.id, "apiId": apiID, "identity": map[string]any{"userAgent": agent, "sourceIp": "203.0.113.7"},
	}
	if c.authorizer != nil {
		context["authorizer"] = c.authorizer
	}
	return context
}

// authorizerEvent is the question to the REQUEST authorizer of $connect.
func (c *gatewayConn) authorizerEvent(r *http.Request) map[string]any {
	event := c.connectEvent(r)
	event["type"], event["stageVariables"] = "REQUEST", map[string]string{}
	event["methodArn"] = "arn:aws:execute-api:us-east-1:" + account + ":" + apiID + "/" + stage + "/$connect"
	delete(event, "isBase64Encoded")
	return event
}

func (c *gatewayConn) connectEvent(r *http.Request) map[string]any {
	return map[string]any{
		"headers": one(r.Header), "multiValueHeaders": many(r.Header),
		"queryStringParameters": one(r.URL.Query()), "multiValueQueryStringParameters": many(r.URL.Query()),
		"requestContext": c.context("$connect", "CONNECT"), "isBase64Encoded": false,
	}
}

func (c *gatewayConn) messageEvent(text, id string) map[string]any {
	context := c.context("$default", "MESSAGE")
	context["messageId"] = id
	return map[string]any{"requestContext": context, "body": text, "isBase64Encoded": false}
}

func (c *gatewayConn) disconnectEvent() map[string]any {
	context := c.context("$disconnect", "DISCONNECT")
	context["disconnectStatusCode"], context["disconnectReason"] = 1000, ""
	header := map[string][]string{"Host": {c.gateway.domain()}, "x-api-key": {""}, "X-Forwarded-For": {""}, "x-restapi": {""}}
	return map[string]any{"headers": one(header), "multiValueHeaders": header, "requestContext": context, "isBase64Encoded": false}
}
