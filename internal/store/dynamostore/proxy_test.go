package dynamostore_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// proxy stands between a store and dynalite and does to requests what a network,
// and DynamoDB itself, may do to them.
type proxy struct {
	*httptest.Server
	t      testing.TB
	target string
	// treat decides what becomes of a request, by the name of its operation and
	// by how many there were before it.
	treat func(operation string, n int64) treatment
	count atomic.Int64
}

// treatment is what becomes of a request.
type treatment int

const (
	passed    treatment = iota
	throttled           // refused, and can be tried again
	failed              // answered with an error of the server, and not done
	lost                // done, but the connection breaks before the answer
	dropped             // the connection breaks before it is done
	halved              // of a batch only a part is done
	conflict            // answered as if its condition did not hold
	dead                // not done, and refused for good
	lastWords           // done, but refused for good
)

func newProxy(t testing.TB, treat func(string, int64) treatment) *proxy {
	p := &proxy{t: t, target: endpoint(t), treat: treat}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

// ServeHTTP implements [http.Handler].
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	switch how := p.treat(operation, p.count.Add(1)-1); how {
	case throttled:
		refuse(w, http.StatusBadRequest, "ProvisionedThroughputExceededException")
	case failed:
		refuse(w, http.StatusInternalServerError, "InternalServerError")
	case conflict:
		refuse(w, http.StatusBadRequest, "ConditionalCheckFailedException")
	case dead:
		refuse(w, http.StatusBadRequest, "AccessDeniedException")
	case dropped:
		panic(http.ErrAbortHandler)
	case lost, lastWords:
		p.forward(httptest.NewRecorder(), r, body)
		if how == lost {
			panic(http.ErrAbortHandler)
		}
		refuse(w, http.StatusBadRequest, "AccessDeniedException")
	case halved:
		p.halve(w, r, operation, body)
	default:
		p.forward(w, r, body)
	}
}

func refuse(w http.ResponseWriter, status int, code string) {
	answer(w, status, []byte(`{"__type":"com.amazonaws.dynamodb.v20120810#`+code+`","message":"injected"}`))
}

func answer(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.Header().Set("X-Amz-Crc32", fmt.Sprint(crc32.ChecksumIEEE(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// forward has dynalite answer a request. What is cut short there, when the test
// ends, is of no interest.
func (p *proxy) forward(w http.ResponseWriter, r *http.Request, body []byte) {
	out, err := http.NewRequestWithContext(r.Context(), r.Method, p.target, bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	out.Header = r.Header.Clone()
	out.Header.Del("Accept-Encoding")
	in, err := http.DefaultClient.Do(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	done, err := io.ReadAll(in.Body)
	_ = in.Body.Close()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	answer(w, in.StatusCode, done)
}

// halve has the first half of a batch done, and says that the rest was not.
func (p *proxy) halve(w http.ResponseWriter, r *http.Request, operation string, body []byte) {
	var request map[string]json.RawMessage
	var tables map[string]json.RawMessage
	check(json.Unmarshal(body, &request))
	check(json.Unmarshal(request["RequestItems"], &tables))
	left := make(map[string]any)
	for name, raw := range tables {
		if operation == "BatchWriteItem" {
			var list []json.RawMessage
			check(json.Unmarshal(raw, &list))
			if half := len(list) / 2; half > 0 {
				left[name], tables[name] = list[half:], encode(list[:half])
			}
			continue
		}
		var list map[string]json.RawMessage
		var keys []json.RawMessage
		check(json.Unmarshal(raw, &list))
		check(json.Unmarshal(list["Keys"], &keys))
		if half := len(keys) / 2; half > 0 {
			left[name] = map[string]any{"Keys": keys[half:], "ConsistentRead": list["ConsistentRead"]}
			list["Keys"] = encode(keys[:half])
			tables[name] = encode(list)
		}
	}
	request["RequestItems"] = encode(tables)
	recorded := httptest.NewRecorder()
	p.forward(recorded, r, encode(request))
	done := recorded.Body.Bytes()
	if recorded.Code == http.StatusOK {
		var partly map[string]any
		check(json.Unmarshal(done, &partly))
		partly[map[bool]string{true: "UnprocessedItems", false: "UnprocessedKeys"}[operation == "BatchWriteItem"]] = left
		done = encode(partly)
	}
	answer(w, recorded.Code, done)
}

func encode(v any) json.RawMessage {
	b, err := json.Marshal(v)
	check(err)
	return b
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
