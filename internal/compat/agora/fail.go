package agora

import (
	"net/http"
	"strings"

	"usher"
	"usher/internal/httpd"
)

// failure is how an error is told: in the member that clients of the tutorial's
// server read, in those that clients of agora-token-service read, and by a code.
type failure struct {
	Error   string `json:"error"`
	Message string `json:"message"`
	Status  int    `json:"status"`
	Code    string `json:"code"`
}

// generateFailure is the same as POST /token/generate tells it.
type generateFailure struct {
	Code    int    `json:"code"` // -1 for wrong parameters, -2 for all else
	Message string `json:"message"`
}

func fail(w http.ResponseWriter, r *http.Request, err *usher.Error) {
	status := httpd.Status(err.Kind)
	if err.Kind == usher.Unauthenticated {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	message := err.Message
	for _, field := range err.Fields {
		message += " " + field.String() + "."
	}
	if strings.HasPrefix(r.Pattern, generatePattern) {
		code := -2
		if status == http.StatusBadRequest {
			code = -1
		}
		_ = httpd.JSON(w, status, generateFailure{code, message}) // it fails only if the caller is gone
		return
	}
	_ = httpd.JSON(w, status, failure{Error: said(err.Code, message), Message: message, Status: status, Code: err.Code})
}

// said returns the words of the tutorial's server for a failure that it knows.
func said(code, message string) string {
	switch code {
	case errNoChannel.Code:
		return "channel is required"
	case errNoUser.Code:
		return "uid is required"
	case errRole.Code:
		return "role is incorrect"
	case errTokenType.Code:
		return "token type is invalid"
	default:
		return message
	}
}
