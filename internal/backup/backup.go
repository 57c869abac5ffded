// Package backup is the form that a back-up of a data folder has: a tar with a
// manifest, which says what the others are and what they hash to, and then
// the files in the manifest's order. It knows nothing of what is in them.
package backup

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// manifestName is the first file of each back-up.
	manifestName = "manifest.json"
	// format is the version of the form; what it does not know, it refuses.
	format = 1
	// maxManifest is in bytes, and maxFiles their number: more than any data
	// folder has.
	maxManifest, maxFiles = 1 << 20, 1000
)

// Manifest says what a back-up has.
type Manifest struct {
	Format int `json:"format"`
	// Version is of the usher that made it.
	Version string    `json:"version"`
	MadeAt  time.Time `json:"made_at"`
	// Schema is the version of the database's tables.
	Schema int64  `json:"schema"`
	Files  []File `json:"files"`
}

// File is one file of the data folder.
type File struct {
	// Name is relative to the folder, with slashes.
	Name string `json:"name"`
	Size int64  `json:"size"` // bytes
	// SHA256 is of the content, in hexadecimal digits.
	SHA256 string `json:"sha256"`
}

// Has reports whether a file of that name is in the back-up.
func (m Manifest) Has(name string) bool {
	for _, f := range m.Files {
		if f.Name == name {
			return true
		}
	}
	return false
}

// Source is a file that a back-up is made from.
type Source struct {
	Name string // in the back-up
	Path string // on the disk; nobody may change it meanwhile
}

// Write writes a back-up of the sources, and returns the manifest with all
// that it says of them.
func Write(w io.Writer, m Manifest, sources []Source) (Manifest, error) {
	m.Format, m.Files = format, nil
	for _, s := range sources {
		f, err := s.describe()
		if err != nil {
			return m, fmt.Errorf("backup: %w", err)
		}
		m.Files = append(m.Files, f)
	}
	if err := m.check(); err != nil {
		return m, err
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, fmt.Errorf("backup: %w", err)
	}
	archive := tar.NewWriter(w)
	err = archive.WriteHeader(m.header(manifestName, int64(len(text))))
	if err == nil {
		_, err = archive.Write(text)
	}
	for i, s := range sources {
		if err != nil {
			break
		}
		err = s.append(archive, m.header(s.Name, m.Files[i].Size), m.Files[i].SHA256)
	}
	if err = errors.Join(err, archive.Close()); err != nil {
		return m, fmt.Errorf("backup: write: %w", err)
	}
	return m, nil
}

func (m Manifest) header(name string, size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: m.MadeAt, Format: tar.FormatPAX}
}

func (s Source) describe() (File, error) {
	f, err := os.Open(s.Path)
	if err != nil {
		return File{}, err
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	return File{Name: s.Name, Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, err
}

// append fails if the file is no more what it was described as: nobody could
// restore that.
func (s Source) append(archive *tar.Writer, h *tar.Header, want string) error {
	f, err := os.Open(s.Path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := archive.WriteHeader(h); err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(archive, sum), f); err != nil {
		return err
	}
	if hex.EncodeToString(sum.Sum(nil)) != want {
		return fmt.Errorf("%s was changed meanwhile", s.Path)
	}
	return nil
}

// Extract reads a back-up, and writes its files to the folder at dir, readable
// by their owner only and synced, without replacing any. It fails unless the
// files are just those of the manifest, and each is what the manifest says.
func Extract(r io.Reader, dir string) (Manifest, error) {
	archive := tar.NewReader(r)
	m, err := readManifest(archive)
	if err != nil {
		return Manifest{}, err
	}
	for _, f := range m.Files {
		h, err := archive.Next()
		if err != nil {
			return Manifest{}, fmt.Errorf("backup: it is cut off or damaged: %s is missing: %w", f.Name, err)
		}
		if h.Name != f.Name || h.Typeflag != tar.TypeReg || h.Size != f.Size {
			return Manifest{}, fmt.Errorf("backup: it is damaged: where the manifest has %s of %d bytes there is %q of %d", f.Name, f.Size, h.Name, h.Size)
		}
		for record := range h.PAXRecords {
			if strings.HasPrefix(record, "GNU.sparse.") { // a few bytes that say that they are many
				return Manifest{}, fmt.Errorf("backup: %s has holes, which no file of a back-up has", f.Name)
			}
		}
		if err := f.extract(archive, dir); err != nil {
			return Manifest{}, fmt.Errorf("backup: %w", err)
		}
	}
	if h, err := archive.Next(); err == nil {
		return Manifest{}, fmt.Errorf("backup: it has %q, which is not in its manifest", h.Name)
	} else if !errors.Is(err, io.EOF) {
		return Manifest{}, fmt.Errorf("backup: it is damaged after the last file: %w", err)
	}
	return m, nil
}

func readManifest(archive *tar.Reader) (m Manifest, err error) {
	h, err := archive.Next()
	if err != nil || h.Name != manifestName || h.Typeflag != tar.TypeReg || h.Size > maxManifest {
		return m, errors.New("backup: it is no back-up of usher: it does not begin with a manifest")
	}
	decoder := json.NewDecoder(archive)
	if err := decoder.Decode(&m); err != nil {
		return m, fmt.Errorf("backup: its manifest is damaged: %w", err)
	}
	return m, m.check()
}

// check returns an error unless the files can be put into a folder by their names.
func (m Manifest) check() error {
	if m.Format != format {
		return fmt.Errorf("backup: its form is %d, and this version of usher knows %d: use the version that made it, %q", m.Format, format, m.Version)
	}
	if len(m.Files) > maxFiles {
		return fmt.Errorf("backup: there are %d files, and may be %d", len(m.Files), maxFiles)
	}
	seen := map[string]bool{manifestName: true}
	for _, f := range m.Files {
		local, err := filepath.Localize(f.Name)
		if err != nil || filepath.ToSlash(filepath.Clean(local)) != f.Name || f.Name == "." || f.Size < 0 || seen[f.Name] {
			return fmt.Errorf("backup: its manifest can't have a file %q of %d bytes", f.Name, f.Size)
		}
		seen[f.Name] = true
	}
	return nil
}

func (f File) extract(r io.Reader, dir string) (err error) {
	path := filepath.Join(dir, filepath.FromSlash(f.Name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(file, sum), r); err != nil {
		return fmt.Errorf("it is cut off or damaged in %s: %w", f.Name, err)
	}
	if hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
		return fmt.Errorf("it is damaged: %s is not what the manifest says", f.Name)
	}
	return file.Sync()
}
