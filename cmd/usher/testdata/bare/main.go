// Bare is the floor that `usher bench relay` is held against: a relay by gws that
// checks nothing and knows nobody, and speaks as a PeerJS server does.
//
//	go build -o bare ./cmd/usher/testdata/bare
//	usher bench relay --bare './bare {port}'
package main

import (
	"bytes"
	"log"
	"net/http"
	"os"
	"sync"

	"github.com/lxzan/gws"
)

type relay struct {
	gws.BuiltinEventHandler

	mu    sync.RWMutex
	conns map[string]*gws.Conn
}

// OnMessage passes a message on to whom it names, looking at its head alone.
func (r *relay) OnMessage(_ *gws.Conn, m *gws.Message) {
	defer func() { _ = m.Close() }()
	_, rest, _ := bytes.Cut(m.Bytes(), []byte(`"dst":"`))
	to, _, _ := bytes.Cut(rest, []byte{'"'})
	r.mu.RLock()
	c := r.conns[string(to)]
	r.mu.RUnlock()
	if c != nil {
		_ = c.WriteMessage(gws.OpcodeText, m.Bytes())
	}
}

func main() {
	r := &relay{conns: make(map[string]*gws.Conn)}
	up := gws.NewUpgrader(r, nil)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		c, err := up.Upgrade(w, q)
		if err != nil {
			return
		}
		r.mu.Lock()
		r.conns[q.URL.Query().Get("id")] = c
		r.mu.Unlock()
		if c.WriteString(`{"type":"OPEN"}`) == nil {
			go c.ReadLoop()
		}
	})))
}
