package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi/types"

	"usher/internal/signaling"
)

// connections are those that API Gateway holds, reached by its @connections API.
type connections struct {
	region string

	mu      sync.Mutex
	loaded  *aws.Config
	clients map[string]*apigatewaymanagementapi.Client // by endpoint
}

var _ signaling.Gateway = (*connections)(nil)

// gatewayTime bounds one request to API Gateway, which answers within
// milliseconds.
const gatewayTime = 5 * time.Second

// client returns the client of an endpoint, the first time that it is needed.
func (c *connections) client(ctx context.Context, endpoint string) (*apigatewaymanagementapi.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if client := c.clients[endpoint]; client != nil {
		return client, nil
	}
	if c.loaded == nil {
		options := []func(*awsconfig.LoadOptions) error{
			// What is tried again, and for how long, package signaling knows.
			awsconfig.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
		}
		if c.region != "" {
			options = append(options, awsconfig.WithRegion(c.region))
		}
		loaded, err := awsconfig.LoadDefaultConfig(ctx, options...)
		if err != nil {
			return nil, fmt.Errorf("post to connections: %w", err)
		}
		c.loaded, c.clients = &loaded, make(map[string]*apigatewaymanagementapi.Client)
	}
	client := apigatewaymanagementapi.NewFromConfig(*c.loaded, func(o *apigatewaymanagementapi.Options) {
		o.BaseEndpoint = aws.String(endpoint)
	})
	c.clients[endpoint] = client
	return client, nil
}

// Post implements [signaling.Gateway].
func (c *connections) Post(ctx context.Context, endpoint, connection string, message []byte) error {
	return c.ask(ctx, endpoint, func(ctx context.Context, client *apigatewaymanagementapi.Client) error {
		_, err := client.PostToConnection(ctx, &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: &connection, Data: message})
		return err
	})
}

// Close implements [signaling.Gateway].
func (c *connections) Close(ctx context.Context, endpoint, connection string) error {
	return c.ask(ctx, endpoint, func(ctx context.Context, client *apigatewaymanagementapi.Client) error {
		_, err := client.DeleteConnection(ctx, &apigatewaymanagementapi.DeleteConnectionInput{ConnectionId: &connection})
		return err
	})
}

func (c *connections) ask(ctx context.Context, endpoint string, request func(context.Context, *apigatewaymanagementapi.Client) error) error {
	client, err := c.client(ctx, endpoint)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, gatewayTime)
	defer cancel()
	err = request(ctx, client)
	if err == nil {
		return nil
	}
	status := 0
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		status = response.HTTPStatusCode()
	}
	// Stand-ins of API Gateway may answer with the status alone.
	if _, gone := errors.AsType[*types.GoneException](err); gone || status == http.StatusGone {
		return signaling.ErrGone
	}
	if _, busy := errors.AsType[*types.LimitExceededException](err); busy || status == http.StatusTooManyRequests {
		return signaling.ErrBusy
	}
	return fmt.Errorf("@connections of %s: %w", endpoint, err)
}
