package identity

import (
	"net/http"
	"slices"

	"usher"
)

// ErrCrossSite refuses a call that may come from a page of somebody else.
var ErrCrossSite = usher.Errorf(usher.Forbidden, "cross_site",
	"This call knows you by a cookie and must come from a page of this app: its Origin is not one of those that are allowed.")

// SameSite refuses a call that a browser may have been made to send by a page
// of another site, with our caller's cookies (cross-site request forgery).
// Whoever fills in [Proof.Session] asks it first.
//
// What changes something, or opens a WebSocket, must have an Origin that is
// exactly one of origins, or be marked by the browser as sent from the server's
// own pages. A call with neither is refused: it comes from no browser that
// could have a session. Reading is not refused here; that another site's page
// does not see the answer is what CORS is for.
func SameSite(method string, h http.Header, origins []string) error {
	reading := method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
	if reading && h.Get("Upgrade") == "" {
		return nil
	}
	site, origin := h["Sec-Fetch-Site"], h["Origin"]
	if len(site) == 1 && site[0] == "same-origin" {
		return nil
	}
	if len(origin) == 1 && origin[0] != "null" && slices.Contains(origins, origin[0]) {
		return nil
	}
	return ErrCrossSite
}
