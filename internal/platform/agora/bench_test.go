package agora_test

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"testing"

	"usher"
	"usher/internal/platform"
	"usher/internal/platform/agora"
)

func BenchmarkBuild006(b *testing.B) {
	token := agora.Token006{
		AppID: appID, Channel: "test", User: "1", Salt: 7, Expires: 1700086400,
		Privileges: []agora.Privilege{{1, 1700003600}, {2, 1700003600}, {3, 1700003600}, {4, 1700003600}},
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := agora.Build006(token, certificate); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBuild007(b *testing.B) {
	token := ordinary007()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := agora.Build007(token, certificate); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDeflate007 is what compressing would add to BenchmarkBuild007, with
// a compressor that is used again.
func BenchmarkDeflate007(b *testing.B) {
	raw := payload(b, build007(b, ordinary007()))
	for name, level := range map[string]int{"default": zlib.DefaultCompression, "fastest": zlib.BestSpeed} {
		b.Run(name, func(b *testing.B) {
			var out bytes.Buffer
			z, err := zlib.NewWriterLevel(&out, level)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				out.Reset()
				z.Reset(&out)
				if _, err := z.Write(raw); err != nil {
					b.Fatal(err)
				}
				if err := z.Close(); err != nil {
					b.Fatal(err)
				}
				_ = usher.Secret("007" + base64.StdEncoding.EncodeToString(out.Bytes()))
			}
		})
	}
}

func BenchmarkIssue(b *testing.B) {
	p := newPlatform(b)
	for _, format := range []string{"006", "007", "007/rtc+rtm"} {
		b.Run(format, func(b *testing.B) {
			req := ordinary()
			req.Format = format
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Issue(b.Context(), req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkInspect(b *testing.B) {
	p := newPlatform(b)
	credential, err := p.Issue(b.Context(), ordinary())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if i, ok := p.Inspect(credential.Token, now); !ok || i.Verified != platform.Good {
			b.Fatal(i)
		}
	}
}
