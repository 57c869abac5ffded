package httpd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"usher"
)

// ReadJSON reads a request's body into value: one JSON object without
// unknown fields. An empty body reads as {} if optional.
func ReadJSON(r *http.Request, value any, optional bool) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return bodyError(err)
	}
	if len(body) == 0 && optional {
		return nil
	}
	if !isJSON(r.Header.Get("Content-Type")) {
		return usher.Errorf(usher.UnsupportedMedia, "media_type_unsupported", "Send the body as application/json.")
	}
	return DecodeJSON(body, value)
}

// isJSON reports whether a media type is that of JSON, with parameters or without.
func isJSON(contentType string) bool {
	const want = "application/json"
	if contentType == want {
		return true // as most write it
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && media == want
}

// DecodeJSON is [ReadJSON] for bytes that came another way.
func DecodeJSON(data []byte, value any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(value); err != nil {
		return jsonError(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return usher.Errorf(usher.Invalid, "json_invalid", "The body has more than one JSON value.")
	}
	if data[firstByte(data)] != '{' {
		return usher.Errorf(usher.Invalid, "json_invalid", "The body must be a JSON object.")
	}
	return nil
}

// firstByte returns the index of the first byte that is not white space.
func firstByte(data []byte) int {
	for i, b := range data {
		if b != ' ' && b != '\t' && b != '\r' && b != '\n' {
			return i
		}
	}
	return 0
}

func bodyError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	return &usher.Error{Kind: usher.Invalid, Code: "body_unreadable", Message: "The request's body ended early.", Err: err}
}

// jsonError tells what is wrong with a body without repeating what was in it.
func jsonError(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if e.Field == "" {
			return usher.Errorf(usher.Invalid, "json_invalid", "The body must be a JSON object.")
		}
		problem := usher.Errorf(usher.Invalid, "json_invalid", "A field of the body has the wrong type.")
		problem.Fields = []usher.FieldProblem{{Field: e.Field, Message: fmt.Sprintf("must be %s, not %s", jsonType(e.Type.String()), e.Value)}}
		return problem
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		problem := usher.Errorf(usher.Invalid, "field_unknown", "The body has a field that this call does not know.")
		problem.Fields = []usher.FieldProblem{{Field: strings.Trim(name, `"`), Message: "is not known here"}}
		return problem
	}
	return &usher.Error{Kind: usher.Invalid, Code: "json_invalid", Message: "The body is not valid JSON.", Err: err}
}

// jsonType names a Go type as someone who writes JSON would.
func jsonType(goType string) string {
	goType = strings.TrimLeft(goType, "*")
	switch {
	case strings.HasSuffix(goType, ".Time"):
		return "a time as in RFC 3339, such as 2026-01-31T12:00:00Z"
	case strings.HasPrefix(goType, "int"), strings.HasPrefix(goType, "uint"):
		return "a whole number"
	case strings.HasPrefix(goType, "float"):
		return "a number"
	case goType == "bool":
		return "true or false"
	case strings.HasPrefix(goType, "[]"):
		return "an array"
	case strings.HasPrefix(goType, "map"), strings.Contains(goType, "."):
		return "an object or text of the documented form"
	default:
		return "text"
	}
}
