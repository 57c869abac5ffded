package api

import (
	"net/http"

	"usher/client"
	"usher/internal/httpd"
	"usher/internal/webhook"
)

func (a *API) listWebhooks(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	all, err := a.Webhooks.Targets(r.Context(), httpd.Identity(r.Context()))
	if err != nil {
		return err
	}
	answer := client.WebhookList{Webhooks: make([]client.Webhook, len(all))}
	for i, s := range all {
		answer.Webhooks[i] = wireWebhook(s)
	}
	return httpd.JSON(w, http.StatusOK, answer)
}

func (a *API) replayWebhook(w http.ResponseWriter, r *http.Request) error {
	var req client.ReplayRequest
	if err := httpd.ReadJSON(r, &req, false); err != nil {
		return err
	}
	s, err := a.Webhooks.Replay(r.Context(), httpd.Identity(r.Context()), r.PathValue("webhook"), req.From)
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, wireWebhook(s))
}

func wireWebhook(s webhook.Status) client.Webhook {
	return client.Webhook{
		Name: s.Name, Host: s.Host, Events: list(s.Events), Cursor: s.Cursor.String(), Held: list(s.Held),
		FailingSince: stamp(s.FailingSince), Failure: s.Failure, DeliveredAt: stamp(s.DeliveredAt),
	}
}
