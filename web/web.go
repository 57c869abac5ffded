// Package web serves the page to call from and the console, which are built
// from this folder and are part of the binary.
//
// The content security policy lets the page run scripts and use styles of this
// server only, none of them inline; it speaks to this server and to the issuer.
package web

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"usher"
	"usher/internal/httpd"
)

// dist is what Vite has built: nothing but .gitignore where there was no Node.js.
//
//go:embed all:dist
var dist embed.FS

// missing is the page in place of one that was not built.
//
//go:embed missing.html
var missing []byte

// Config is what [New] needs.
type Config struct {
	// Files are index.html, assets and icons; nil are those of this build.
	Files fs.FS
	// Connect are the origins that the page may speak to beside its own: those of
	// the issuer.
	Connect []string
}

// Web serves the page.
type Web struct {
	files  map[string]*file // by path, without a slash at the start
	policy string
}

// New returns a Web that has read its files.
func New(config Config) (*Web, error) {
	files := config.Files
	if files == nil {
		var err error
		if files, err = fs.Sub(dist, "dist"); err != nil {
			return nil, fmt.Errorf("web: %w", err)
		}
	}
	w := &Web{files: make(map[string]*file), policy: contentPolicy(config.Connect)}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, name)
		w.add(name, content)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("web: read the page: %w", err)
	}
	if w.files[index] == nil {
		w.add(index, missing)
	}
	return w, nil
}

const (
	index   = "index.html"
	assets  = "assets/"
	forever = "public, max-age=31536000, immutable"
)

// file is one file with its compressed forms.
type file struct {
	mediaType string
	forms     [len(encodings)]form
}

// form is the content of a file in one of [encodings], nil if there is none.
type form struct {
	content []byte
	tag     string
}

// encodings are what Content-Encoding calls compressed files, and the endings
// of their names: the best first, and at the end the plain one.
var encodings = [...]struct{ name, ending string }{{"br", ".br"}, {"gzip", ".gz"}, {"", ""}}

// add enters a file, or a compressed form of one.
func (w *Web) add(name string, content []byte) {
	for i, e := range encodings {
		base, ok := strings.CutSuffix(name, e.ending)
		if !ok {
			continue
		}
		f := w.files[base]
		if f == nil {
			f = &file{mediaType: cmp.Or(mime.TypeByExtension(path.Ext(base)), "application/octet-stream")}
			w.files[base] = f
		}
		sum := sha256.Sum256(content)
		f.forms[i] = form{content, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
		return
	}
}

// Dialect returns the routes of the page: those that it has itself, and its
// files. A browser gets the page also where nothing is, which it then says; a
// program keeps the answer of the API.
func (w *Web) Dialect() httpd.Dialect {
	d := httpd.Dialect{Name: "web", Header: w.header, Pages: true, Fail: w.fail}
	for _, path := range []string{"/{$}", "/join", "/room/{room}", "/signed-in", "/console", "/console/{page}", "/console/{page}/{item}"} {
		d.Routes = append(d.Routes, httpd.Route{Pattern: "GET " + path, Caller: httpd.Anyone, Handle: w.index})
	}
	d.Routes = append(d.Routes, httpd.Route{Pattern: "GET /assets/{file}", Caller: httpd.Anyone, Handle: w.asset})
	return d
}

// header is what keeps the page to itself.
func (w *Web) header(h http.Header) {
	h.Set("Content-Security-Policy", w.policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(self), microphone=(self), display-capture=(self), fullscreen=(self), autoplay=(self)")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
}

// contentPolicy has no unsafe-inline, and names no other server but those that
// are said.
func contentPolicy(connect []string) string {
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:; font-src 'self'; " +
		strings.Join(append([]string{"connect-src 'self'"}, connect...), " ") +
		"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

func (w *Web) index(rw http.ResponseWriter, r *http.Request) error {
	return w.serve(rw, r, index, "no-cache")
}

// asset serves a file whose name has its hash.
func (w *Web) asset(rw http.ResponseWriter, r *http.Request) error {
	return w.serve(rw, r, assets+r.PathValue("file"), forever)
}

func (w *Web) serve(rw http.ResponseWriter, r *http.Request, name, caching string) error {
	f := w.files[name]
	if f == nil {
		return usher.Errorf(usher.NotFound, "route_not_found", "Nothing is served at this path.")
	}
	best := f.describe(rw.Header(), r, caching)
	rw.Header().Set("ETag", best.tag)
	http.ServeContent(rw, r, name, time.Time{}, bytes.NewReader(best.content))
	return nil
}

// fail answers a browser that is at a wrong address with the page.
func (w *Web) fail(rw http.ResponseWriter, r *http.Request, err *usher.Error) {
	if err.Kind != usher.NotFound || !httpd.WantsPage(r) {
		httpd.Problem(rw, r, err)
		return
	}
	best := w.files[index].describe(rw.Header(), r, "no-cache")
	rw.Header().Add("Vary", "Accept")
	rw.Header().Set("Content-Length", strconv.Itoa(len(best.content)))
	rw.WriteHeader(http.StatusNotFound)
	if r.Method != http.MethodHead {
		_, _ = rw.Write(best.content) // who is gone needs no page
	}
}

// describe says in an answer's header what is sent of a file, and returns it:
// the best form that the caller takes.
func (f *file) describe(h http.Header, r *http.Request, caching string) form {
	best := 0
	for best < len(encodings)-1 && (f.forms[best].content == nil || !accepts(r, encodings[best].name)) {
		best++
	}
	h.Set("Content-Type", f.mediaType)
	h.Set("Cache-Control", caching)
	h.Add("Vary", "Accept-Encoding")
	if encoding := encodings[best].name; encoding != "" {
		h.Set("Content-Encoding", encoding)
	}
	return f.forms[best]
}

// accepts reports whether the caller takes an encoding. Whoever weighs them is
// a program that does not, and gets the plain form.
func accepts(r *http.Request, encoding string) bool {
	if encoding == "" {
		return true
	}
	for _, header := range r.Header.Values("Accept-Encoding") {
		for one := range strings.SplitSeq(header, ",") {
			if strings.TrimSpace(one) == encoding {
				return true
			}
		}
	}
	return false
}
