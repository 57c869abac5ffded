package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher"
	"usher/client"
	"usher/internal/access"
)

const (
	defaultLimit = 50
	maxLimit     = 200
)

// parameters reads the query of a list. A parameter that is not known, or
// twice there, is refused: ignored, it would answer another question than the
// one that was asked.
func parameters(r *http.Request, known ...string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, usher.Errorf(usher.Invalid, "query_invalid", "The query can't be understood.")
	}
	var problems []usher.FieldProblem
	for name, v := range values {
		switch {
		case !slices.Contains(known, name):
			problems = append(problems, usher.FieldProblem{Field: name, Message: "is not known here"})
		case len(v) > 1:
			problems = append(problems, usher.FieldProblem{Field: name, Message: "is there more than once"})
		}
	}
	slices.SortFunc(problems, func(a, b usher.FieldProblem) int { return strings.Compare(a.Field, b.Field) })
	return values, queryError(problems)
}

func queryError(problems []usher.FieldProblem) error {
	if len(problems) == 0 {
		return nil
	}
	err := usher.Errorf(usher.Invalid, "query_invalid", "The query has a parameter that can't be used.")
	err.Fields = problems
	return err
}

// page reads which part of a list is asked for, by ids.
func page(values url.Values) (access.Page, error) {
	limit, problems := pageLimit(values)
	p := access.Page{Limit: limit}
	if values.Has("cursor") {
		id, err := usher.ParseID(values.Get("cursor"))
		if err != nil {
			problems = append(problems, badCursor)
		}
		p.After = id
	}
	return p, queryError(problems)
}

var badCursor = usher.FieldProblem{Field: "cursor", Message: "must be the next_cursor of an earlier page"}

// pageLimit reads how many of a list are asked for.
func pageLimit(values url.Values) (int, []usher.FieldProblem) {
	if !values.Has("limit") {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(values.Get("limit"))
	if err != nil || n < 1 || n > maxLimit {
		return 0, []usher.FieldProblem{{Field: "limit", Message: fmt.Sprintf("must be from 1 to %d", maxLimit)}}
	}
	return n, nil
}

// maxSearch is how long a text that is looked for may be, in bytes.
const maxSearch = 200

// searchText reads what text is looked for; it is empty if none is.
func searchText(values url.Values) (string, []usher.FieldProblem) {
	text := strings.TrimSpace(values.Get("search"))
	if err := usher.ValidateName(text, maxSearch); err != nil {
		return "", []usher.FieldProblem{{Field: "search", Message: err.Error()}}
	}
	return text, nil
}

// instant reads a time; it is zero if there is none.
func instant(values url.Values, name string) (time.Time, []usher.FieldProblem) {
	if !values.Has(name) {
		return time.Time{}, nil
	}
	var t client.Time
	if err := t.UnmarshalJSON([]byte(strconv.Quote(values.Get(name)))); err != nil {
		return time.Time{}, []usher.FieldProblem{{Field: name, Message: "must be a time as in RFC 3339, such as 2026-01-31T12:00:00Z"}}
	}
	return t.Time, nil
}

// truth reads a parameter that is true, false or not there.
func truth(values url.Values, name string) (bool, []usher.FieldProblem) {
	switch text := values.Get(name); {
	case !values.Has(name), text == "false":
		return false, nil
	case text == "true":
		return true, nil
	}
	return false, []usher.FieldProblem{{Field: name, Message: "must be true or false"}}
}

// sequencePage reads which part of a sequence is asked for: what follows a
// number.
func sequencePage(values url.Values) (after int64, limit int, err error) {
	limit, problems := pageLimit(values)
	if values.Has("cursor") {
		if after, err = strconv.ParseInt(values.Get("cursor"), 10, 64); err != nil || after < 0 {
			problems = append(problems, badCursor)
		}
	}
	return after, limit, queryError(problems)
}

// idempotencyKey reads the header of that name; it is empty if there is none.
func idempotencyKey(r *http.Request) (string, error) {
	values := r.Header.Values("Idempotency-Key")
	switch {
	case len(values) == 0:
		return "", nil
	case len(values) > 1 || values[0] == "":
		return "", usher.Errorf(usher.Invalid, "idempotency_key_invalid", "Send one Idempotency-Key that is not empty, or none.")
	}
	return values[0], nil
}

// etag is the entity tag of a version.
func etag(version int64) string { return strconv.Quote(strconv.FormatInt(version, 10)) }

// ifMatch reads the version that a change is meant for; 0 is any. A tag that
// we never made matches no version (RFC 9110, section 13.1.1).
func ifMatch(r *http.Request) (int64, error) {
	values := r.Header.Values("If-Match")
	if len(values) == 0 {
		return 0, nil
	}
	if len(values) > 1 || strings.Contains(values[0], ",") {
		return 0, usher.Errorf(usher.Invalid, "if_match_invalid", "Send one entity tag in If-Match.")
	}
	if values[0] == "*" {
		return 0, nil
	}
	version, err := strconv.ParseInt(strings.Trim(values[0], `"`), 10, 64)
	if err != nil || version < 1 || etag(version) != values[0] {
		return 0, usher.Errorf(usher.PreconditionFailed, "room_changed", "The entity tag in If-Match is none of this room's; read the room again.")
	}
	return version, nil
}

// stamp is a time on the wire.
func stamp(t time.Time) client.Time { return client.Time{Time: t} }

// list is a set as it is written: empty rather than null.
func list[S ~[]E, E any](set S) S {
	if set == nil {
		return S{}
	}
	return set
}

// nextCursor is the cursor of the page after one that ends with that id.
func nextCursor(more bool, last usher.ID) string {
	if !more {
		return ""
	}
	return string(last)
}
