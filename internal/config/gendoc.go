//go:build ignore

// Gendoc writes the documentation of the configuration.
package main

import (
	"bytes"
	"log"
	"os"

	"usher/internal/config"
)

func main() {
	var doc bytes.Buffer
	if err := config.Doc(&doc); err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile("../../docs/configuration.md", doc.Bytes(), 0o644); err != nil {
		log.Fatal(err)
	}
}
