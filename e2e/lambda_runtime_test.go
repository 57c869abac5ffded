package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// invoked is how a function answered an event: by a payload, or by an error.
type invoked struct {
	Payload json.RawMessage
	// Type and Message are those of an error.
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

func (i invoked) failed() bool { return i.Payload == nil }

// invocation is an event that a function shall answer.
type invocation struct {
	event  []byte
	answer chan invoked
}

// lambda is AWS Lambda with one function: the binary as bootstrap, in as many
// processes as events come at once, each at the Runtime API. A process has one
// event at a time.
type lambda struct {
	t      testing.TB
	env    []string
	queue  chan invocation
	output *output
	// ended is closed with the test.
	ended chan struct{}

	mu      sync.Mutex
	started []*sandbox
	idle    int // processes that wait for an event
	waiting int // events that wait for a process
}

// sandbox is one process and its end of the Runtime API.
type sandbox struct {
	lambda  *lambda
	api     *httptest.Server
	cmd     *exec.Cmd
	began   time.Time
	waiting atomic.Bool   // for an event; once it was so, the process is warm
	cold    time.Duration // until then
	done    chan struct{}

	mu      sync.Mutex
	pending map[string]invocation
	next    int
}

// newLambda makes a function that runs in the environment.
func newLambda(t testing.TB, env ...string) *lambda {
	t.Helper()
	l := &lambda{t: t, env: env, queue: make(chan invocation), ended: make(chan struct{}), output: newOutput()}
	t.Cleanup(func() {
		close(l.ended)
		l.mu.Lock()
		started := l.started
		l.mu.Unlock()
		for _, s := range started {
			s.stop()
		}
		if t.Failed() {
			t.Logf("the functions wrote:\n%s", l.output.tail())
		}
	})
	return l
}

// maxSandboxes bounds the processes of one function: their number follows from how
// many events come at once.
const maxSandboxes = 4

// invoke hands an event to the function, and returns how it is answered.
func (l *lambda) invoke(event any) invoked {
	l.t.Helper()
	encoded, err := json.Marshal(event)
	if err != nil {
		l.t.Fatal(err)
	}
	l.mu.Lock()
	l.waiting++
	if l.waiting > l.idle && len(l.started) < maxSandboxes {
		l.started = append(l.started, l.launch())
	}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.waiting--
		l.mu.Unlock()
	}()
	i := invocation{encoded, make(chan invoked, 1)}
	limit := time.After(2 * time.Minute)
	select {
	case l.queue <- i:
	case <-limit:
		l.t.Errorf("no process took the event: %s", encoded)
		return invoked{Type: "Sandbox.Timedout"}
	}
	select {
	case answer := <-i.answer:
		return answer
	case <-limit:
		l.t.Errorf("no process answered the event: %s", encoded)
		return invoked{Type: "Sandbox.Timedout"}
	}
}

// launch starts a process, as a cold start.
func (l *lambda) launch() *sandbox {
	s := &sandbox{lambda: l, pending: make(map[string]invocation), done: make(chan struct{})}
	mux := http.NewServeMux()
	const runtime = "/2018-06-01/runtime/"
	mux.HandleFunc("GET "+runtime+"invocation/next", s.hand)
	mux.HandleFunc("POST "+runtime+"invocation/{id}/response", func(w http.ResponseWriter, r *http.Request) { s.take(w, r, false) })
	mux.HandleFunc("POST "+runtime+"invocation/{id}/error", func(w http.ResponseWriter, r *http.Request) { s.take(w, r, true) })
	mux.HandleFunc("POST "+runtime+"init/error", func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		l.t.Errorf("the function could not start: %s", text)
		w.WriteHeader(http.StatusAccepted)
	})
	s.api = httptest.NewServer(mux)
	dir := l.t.TempDir()
	bootstrap := filepath.Join(dir, "bootstrap")
	if err := os.Symlink(usherBinary(l.t), bootstrap); err != nil {
		l.t.Error(err)
	}
	s.cmd = exec.Command(bootstrap)
	s.cmd.Dir = dir
	s.cmd.Env = environ(append([]string{
		"AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(s.api.URL, "http://"), "AWS_LAMBDA_FUNCTION_NAME=usher", "AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256", "AWS_REGION=us-east-1", "LAMBDA_TASK_ROOT=" + dir, "_HANDLER=bootstrap",
	}, l.env...)...)
	s.cmd.Stdout, s.cmd.Stderr, s.cmd.WaitDelay = l.output, l.output, 10*time.Second
	s.began = time.Now()
	if err := s.cmd.Start(); err != nil {
		l.t.Error(err)
		close(s.done)
		return s
	}
	go func() {
		_ = s.cmd.Wait() // whoever waits for done may have killed it
		close(s.done)
	}()
	return s
}

// hand answers the long poll of a process with the next event.
func (s *sandbox) hand(w http.ResponseWriter, r *http.Request) {
	l := s.lambda
	l.mu.Lock()
	l.idle++
	if s.waiting.CompareAndSwap(false, true) {
		s.cold = time.Since(s.began)
	}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.idle--
		l.mu.Unlock()
	}()
	select {
	case i := <-l.queue:
		s.mu.Lock()
		s.next++
		id := fmt.Sprintf("8476a536-e9f4-11e8-9739-%012d", s.next)
		s.pending[id] = i
		s.mu.Unlock()
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Lambda-Runtime-Aws-Request-Id", id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(time.Minute).UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:usher")
		h.Set("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0")
		_, _ = w.Write(i.event) // the process may be gone, and does not answer then
	case <-r.Context().Done():
	case <-l.ended:
		panic(http.ErrAbortHandler) // whatever is answered would be taken for an event
	}
}

// take takes the answer to an event.
func (s *sandbox) take(w http.ResponseWriter, r *http.Request, failed bool) {
	body, err := io.ReadAll(r.Body)
	s.mu.Lock()
	i, known := s.pending[r.PathValue("id")]
	delete(s.pending, r.PathValue("id"))
	s.mu.Unlock()
	if err != nil || !known {
		s.lambda.t.Errorf("an answer to the event %q, which there is not, or error %v", r.PathValue("id"), err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	answer := invoked{Payload: body}
	if len(body) == 0 {
		answer.Payload = json.RawMessage("null")
	}
	if failed {
		answer = invoked{}
		if err := json.Unmarshal(body, &answer); err != nil || answer.Type == "" {
			s.lambda.t.Errorf("the error %s has no type: %v", body, err)
		}
	} else if !json.Valid(answer.Payload) {
		s.lambda.t.Errorf("the answer is no JSON: %q", body)
	}
	w.WriteHeader(http.StatusAccepted)
	i.answer <- answer
}

// stop ends the process as Lambda does, which may take it for granted.
func (s *sandbox) stop() {
	if s.cmd.Process != nil {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.done:
		case <-time.After(10 * time.Second):
			_ = s.cmd.Process.Kill()
			<-s.done
		}
	}
	s.api.CloseClientConnections()
	s.api.Close()
}

// freeze kills all processes, as Lambda does without a word; events that come
// later have new ones.
func (l *lambda) freeze() {
	l.mu.Lock()
	started := l.started
	l.started = nil
	l.mu.Unlock()
	for _, s := range started {
		_ = s.cmd.Process.Kill()
		<-s.done
		s.api.CloseClientConnections()
		s.api.Close()
	}
}

// coldStarts tells how long the processes took until they waited for an event,
// and the most memory that each had.
func (l *lambda) coldStarts() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []string
	for _, s := range l.started {
		if !s.waiting.Load() {
			continue // it was never needed
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
		peak := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
		if err != nil || peak == nil {
			continue // not on this system
		}
		kb, _ := strconv.Atoi(string(peak[1]))
		list = append(list, fmt.Sprintf("%d ms, %d MiB", s.cold.Milliseconds(), kb>>10))
	}
	return strings.Join(list, "; ")
}
