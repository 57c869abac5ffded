package backup_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher/internal/backup"
)

// files are what a back-up is made of, by name.
var files = []struct{ name, content string }{
	{"usher.db", strings.Repeat("rows", 1000)}, {"seal.key", "sealed"}, {"tls/localhost.key", ""},
}

// made returns a back-up of the files.
func made(t testing.TB) []byte {
	t.Helper()
	dir := t.TempDir()
	var sources []backup.Source
	for _, f := range files {
		s := backup.Source{Name: f.name, Path: filepath.Join(dir, filepath.Base(f.name))}
		if err := os.WriteFile(s.Path, []byte(f.content), 0o600); err != nil {
			t.Fatal(err)
		}
		sources = append(sources, s)
	}
	var b bytes.Buffer
	m := backup.Manifest{Version: "v1", MadeAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Schema: 60}
	m, err := backup.Write(&b, m, sources)
	if err != nil {
		t.Fatal(err)
	}
	if !m.Has("seal.key") || m.Has("janus.key") || m.Files[0].Size != 4000 {
		t.Fatalf("the manifest is %+v", m)
	}
	return b.Bytes()
}

func TestWhatIsBackedUpIsRestored(t *testing.T) {
	dir := t.TempDir()
	m, err := backup.Extract(bytes.NewReader(made(t)), dir)
	if err != nil {
		t.Fatal(err)
	}
	if m.Version != "v1" || m.Schema != 60 || m.MadeAt.Year() != 2026 || len(m.Files) != len(files) {
		t.Errorf("got manifest %+v", m)
	}
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(f.content, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", f.name, diff)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, error %v", f.name, info.Mode(), err)
		}
	}
}

// changing changes a file when a back-up is about to be written.
type changing struct{ path, content string }

func (c changing) Write(p []byte) (int, error) {
	return len(p), os.WriteFile(c.path, []byte(c.content), 0o600)
}

func TestWhatIsChangedMeanwhileIsNoBackUp(t *testing.T) {
	for name, content := range map[string]string{"as long": "other!", "longer": "another", "shorter": "less"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "seal.key")
			if err := os.WriteFile(path, []byte("sealed"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := backup.Write(changing{path, content}, backup.Manifest{}, []backup.Source{{Name: "seal.key", Path: path}}); err == nil {
				t.Error("it is taken for one")
			}
		})
	}
}

// A back-up of some KiB does not fill a disk.
func TestAFileWithHolesIsNotRestored(t *testing.T) {
	const size = 1 << 30
	m, err := json.Marshal(backup.Manifest{Format: 1, Files: []backup.File{{Name: "usher.db", Size: size}}})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	entry := func(kind byte, name, content string) {
		var block [512]byte
		copy(block[:], name)
		copy(block[100:], "0000600\x000000000\x000000000\x00")
		copy(block[124:], fmt.Sprintf("%011o\x0000000000000\x00        ", len(content)))
		copy(block[156:], string(kind))
		copy(block[257:], "ustar\x0000")
		sum := 0
		for _, c := range block {
			sum += int(c)
		}
		copy(block[148:], fmt.Sprintf("%06o\x00 ", sum))
		b.Write(block[:])
		b.WriteString(content)
		b.Write(make([]byte, -len(content)&511))
	}
	record := func(key, value string) string { // its length counts itself, which has two digits
		return fmt.Sprintf("%d %s=%s\n", len(key)+len(value)+5, key, value)
	}
	entry(tar.TypeReg, "manifest.json", string(m))
	entry(tar.TypeXHeader, "x", record("GNU.sparse.major", "1")+record("GNU.sparse.minor", "0")+
		record("GNU.sparse.name", "usher.db")+record("GNU.sparse.realsize", fmt.Sprint(size)))
	entry(tar.TypeReg, "y", "0\n"+strings.Repeat("\x00", 510))
	b.Write(make([]byte, 1024))
	dir := t.TempDir()
	if _, err := backup.Extract(&b, dir); err == nil || !strings.Contains(err.Error(), "has holes") {
		t.Errorf("got error %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("there is %v, error %v", left, err)
	}
}

// archive is a tar of entries that may lie.
func archive(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		content := h.Linkname // what a regular file does not have
		h.Linkname, h.Size, h.Mode = "", int64(len(content)), 0o600
		if h.Typeflag == tar.TypeSymlink {
			h.Linkname, h.Size, content = content, 0, ""
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func manifest(text string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: "manifest.json", Linkname: text}
}

// one is a manifest with one empty file.
func one(name string) tar.Header {
	return manifest(`{"format":1,"files":[{"name":"` + name + `","size":0,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}]}`)
}

func TestWhatIsNotAsItWasMadeIsRefused(t *testing.T) {
	sound := made(t)
	changed := bytes.Replace(sound, []byte("rowsrows"), []byte("rowsrowz"), 1)
	regular := func(name string) tar.Header { return tar.Header{Typeflag: tar.TypeReg, Name: name} }
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":                  {nil, "no back-up"},
		"something else":           {[]byte("what is this"), "no back-up"},
		"cut off in the first":     {sound[:4000], "cut off"},
		"cut off before the last":  {sound[:len(sound)-2048], "cut off"},
		"a bit changed":            {changed, "usher.db is not what the manifest says"},
		"of a form to come":        {archive(t, manifest(`{"format":2,"version":"v9"}`)), "v9"},
		"a broken manifest":        {archive(t, manifest(`{"format":`)), "manifest is damaged"},
		"a way out":                {archive(t, one("../evil"), regular("../evil")), "can't have a file"},
		"a way from the root":      {archive(t, one("/evil"), regular("/evil")), "can't have a file"},
		"a way about":              {archive(t, one("a/../evil"), regular("a/../evil")), "can't have a file"},
		"a second manifest":        {archive(t, one("manifest.json"), regular("manifest.json")), "can't have a file"},
		"a link":                   {archive(t, one("a"), tar.Header{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "/etc"}), "damaged"},
		"another than it promises": {archive(t, one("a"), regular("b")), "damaged"},
		"more than it promises":    {archive(t, one("a"), regular("a"), regular("b")), "not in its manifest"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := backup.Extract(bytes.NewReader(tt.data), t.TempDir())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func FuzzExtract(f *testing.F) {
	f.Add(made(f))
	f.Add(archive(f, one("../evil")))
	f.Fuzz(func(t *testing.T, data []byte) {
		outer := t.TempDir()
		dir := filepath.Join(outer, "in")
		m, err := backup.Extract(bytes.NewReader(data), dir)
		others, dirErr := os.ReadDir(outer)
		if dirErr != nil || len(others) > 1 || len(others) == 1 && others[0].Name() != "in" {
			t.Fatalf("wrote beside the folder: %v, error %v", others, dirErr)
		}
		if err != nil {
			return
		}
		n := 0
		_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				n++
			}
			return nil
		})
		if n != len(m.Files) {
			t.Fatalf("wrote %d files of %d", n, len(m.Files))
		}
	})
}
