// Command sbom prints what a binary of Usher is made of, as CycloneDX has it: the
// Go modules that the linker put into it, and the npm packages of the page. The
// same binary and lock file make the same document.
package main

import (
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "sbom: %v\n", err)
		os.Exit(1)
	}
}

type component struct {
	Type    string `json:"type"`
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	PURL    string `json:"purl,omitempty"`
}

// document is the part of CycloneDX 1.6 that is needed here.
type document struct {
	Format   string `json:"bomFormat"`
	Spec     string `json:"specVersion"`
	Version  int    `json:"version"`
	Metadata struct {
		Component component `json:"component"`
	} `json:"metadata"`
	Components []component `json:"components"`
}

// run prints the document of a binary (args[0], released as the version
// args[1]) whose page was built by the lock file args[2].
func run(args []string, out io.Writer) error {
	if len(args) != 3 {
		return errors.New("usage: sbom BINARY VERSION PACKAGE-LOCK")
	}
	info, err := buildinfo.ReadFile(args[0])
	if err != nil {
		return err
	}
	doc := document{Format: "CycloneDX", Spec: "1.6", Version: 1}
	doc.Metadata.Component = component{Type: "application", Name: "usher", Version: args[1]}
	doc.add("golang", "std", strings.TrimPrefix(info.GoVersion, "go"))
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		doc.add("golang", m.Path, m.Version)
	}
	if err := doc.page(args[2]); err != nil {
		return err
	}
	slices.SortFunc(doc.Components, func(a, b component) int { return strings.Compare(a.PURL, b.PURL) })
	doc.Components = slices.Compact(doc.Components) // a package may be in several folders, and CycloneDX has it once
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(doc)
}

func (d *document) add(kind, name, version string) {
	// The @ of an npm scope is escaped in a package URL.
	purl := fmt.Sprintf("pkg:%s/%s@%s", kind, strings.ReplaceAll(name, "@", "%40"), version)
	d.Components = append(d.Components, component{"library", name, version, purl})
}

// page adds the packages that are in the page, not those that only build it.
func (d *document) page(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var lock struct {
		Packages map[string]struct {
			Version string
			Dev     bool
		}
	}
	if err := json.Unmarshal(text, &lock); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	const folder = "node_modules/"
	for where, p := range lock.Packages {
		// A package may have others of its own: what counts is the last folder.
		if i := strings.LastIndex(where, folder); i >= 0 && !p.Dev {
			d.add("npm", where[i+len(folder):], p.Version)
		}
	}
	return nil
}
