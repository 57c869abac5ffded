// Package dynamotest stands between a store and a DynamoDB, and does to its
// requests what a network, and DynamoDB itself, may do to them.
package dynamotest

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

// Treatment is what becomes of a request.
type Treatment int

// The treatments.
const (
	Passed    Treatment = iota
	Throttled           // refused, and can be tried again
	Failed              // answered with an error of the server, and not done
	Lost                // done, but the connection breaks before the answer
	Late                // done, but the answer does not come while it is waited for
	Dropped             // the connection breaks before it is done
	Halved              // of a batch only a part is done
	Conflict            // answered as if its condition did not hold
	Dead                // not done, and refused for good
	LastWords           // done, but refused for good
)

// Treat decides what becomes of a request, by the name of its operation and by
// how many there were before it.
type Treat func(operation string, n int64) Treatment

// OneIn treats one of so many requests to a fault, of one kind after the other,
// as far as that is one of the operation. What makes tables is spared.
func OneIn(many int64, faults ...Treatment) Treat {
	return func(operation string, n int64) Treatment {
		if n%many != 1 || operation == "CreateTable" || operation == "DescribeTable" {
			return Passed
		}
		how := faults[int(n/many)%len(faults)]
		switch {
		case how == Halved && !strings.HasPrefix(operation, "Batch"):
			return Throttled
		// Of a deletion it would say that there was nothing to delete: that is
		// no fault but a lie, which DynamoDB does not tell.
		case how == Conflict && operation != "PutItem" && operation != "UpdateItem":
			return Failed
		}
		return how
	}
}

// Proxy passes requests on to a DynamoDB.
type Proxy struct {
	*httptest.Server
	target string
	treat  Treat
	count  atomic.Int64
}

// New starts a proxy for the DynamoDB at an address, which ends with the test.
func New(t testing.TB, target string, treat Treat) *Proxy {
	p := &Proxy{target: target, treat: treat}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

// Requests returns how many there were.
func (p *Proxy) Requests() int64 { return p.count.Load() }

// ServeHTTP implements [http.Handler].
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	switch how := p.treat(operation, p.count.Add(1)-1); how {
	case Throttled:
		refuse(w, http.StatusBadRequest, "ProvisionedThroughputExceededException")
	case Failed:
		refuse(w, http.StatusInternalServerError, "InternalServerError")
	case Conflict:
		refuse(w, http.StatusBadRequest, "ConditionalCheckFailedException")
	case Dead:
		refuse(w, http.StatusBadRequest, "AccessDeniedException")
	case Dropped:
		panic(http.ErrAbortHandler)
	case Lost, Late, LastWords:
		p.forward(httptest.NewRecorder(), r, body)
		switch how {
		case Late:
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		case Lost:
			panic(http.ErrAbortHandler)
		}
		refuse(w, http.StatusBadRequest, "AccessDeniedException")
	case Halved:
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
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request, body []byte) {
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
func (p *Proxy) halve(w http.ResponseWriter, r *http.Request, operation string, body []byte) {
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
