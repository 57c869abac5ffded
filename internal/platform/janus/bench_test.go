package janus_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha512"
	"testing"
)

// BenchmarkIssue measures each format, and beside them the bare signature that
// the first of them cannot be faster than.
func BenchmarkIssue(b *testing.B) {
	p := newPlatform(b, config())
	b.Run("bare RSA", func(b *testing.B) {
		digest := sha512.Sum512([]byte("what is signed"))
		for b.Loop() {
			if _, err := rsa.SignPKCS1v15(nil, newKey(), crypto.SHA512, digest[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, format := range []string{"sfu", "core", "videoroom"} {
		b.Run(format, func(b *testing.B) {
			req := request(format)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Issue(b.Context(), req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkInspect measures what anybody may ask for.
func BenchmarkInspect(b *testing.B) {
	p := newPlatform(b, config())
	for _, format := range []string{"sfu", "core"} {
		token := issue(b, p, request(format)).Token
		b.Run(format, func(b *testing.B) {
			for b.Loop() {
				if _, ok := p.Inspect(token, now); !ok {
					b.Fatal("it was not recognised")
				}
			}
		})
	}
}
