package agora_test

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash/adler32"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"usher"
	"usher/internal/platform/agora"
)

type vectors007 struct {
	Vectors []struct {
		Name           string
		AppID          string
		AppCertificate usher.Secret
		IssueTS, Salt  uint32
		Token          usher.Secret
		PayloadHex     string
		SignatureHex   string
		Error          string
		Decoded        struct {
			Expire   uint32
			Services []service007
		}
	}
	VerifyCases []struct {
		Name           string
		Token          usher.Secret
		AppCertificate usher.Secret
		Parsed         bool
		SignatureValid bool
	}
}

// service007 is a service as the vectors have it.
type service007 struct {
	Type                                              agora.ServiceType
	Privileges                                        map[uint16]uint32
	Channel, UID, UserID, Account, RoomUUID, UserUUID string
	Role                                              int16
	Permissions                                       []struct {
		ResourceType, Permission uint16
		Resources                []string
	}
}

// service returns the service with its lists in descending order.
func (s service007) service() agora.Service {
	service := agora.Service{Type: s.Type, Channel: s.Channel + s.RoomUUID, User: s.UID + s.UserID + s.Account + s.UserUUID, Role: s.Role}
	for id, expires := range s.Privileges {
		service.Privileges = append(service.Privileges, agora.Privilege{ID: id, Expires: expires})
	}
	slices.SortFunc(service.Privileges, func(a, b agora.Privilege) int { return int(b.ID) - int(a.ID) })
	for _, p := range slices.Backward(s.Permissions) {
		service.Resources = append(service.Resources, agora.Resource{Type: p.ResourceType, Permission: p.Permission, Names: p.Resources})
	}
	return service
}

func TestTokens007AreThoseOfAgorasLibraryByPayload(t *testing.T) {
	var file vectors007
	readVectors(t, "agora-007.json", &file)
	tokens := 0
	for _, v := range file.Vectors {
		if v.Error != "" {
			continue // what the library throws at, our types can't say
		}
		t.Run(v.Name, func(t *testing.T) {
			built := agora.Token007{AppID: v.AppID, IssuedAt: v.IssueTS, Lifetime: v.Decoded.Expire, Salt: v.Salt}
			for _, s := range slices.Backward(v.Decoded.Services) {
				built.Services = append(built.Services, s.service())
			}
			token, err := agora.Build007(built, v.AppCertificate)
			if v.Token == "" { // the library's way to refuse
				if err == nil {
					t.Errorf("built %s", token.Reveal())
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			tokens++
			if got := hex.EncodeToString(payload(t, token)); got != v.PayloadHex {
				t.Errorf("built  %s\nwant   %s", got, v.PayloadHex)
			}
			want := parse007(t, token)
			read := parse007(t, v.Token)
			if diff := cmp.Diff(want, read, cmpopts.IgnoreUnexported(agora.Signed007{})); diff != "" {
				t.Errorf("the library's token is read otherwise than ours (-ours +theirs):\n%s", diff)
			}
			slices.SortStableFunc(built.Services, func(a, b agora.Service) int { return int(a.Type) - int(b.Type) })
			byID := cmpopts.SortSlices(func(a, b agora.Privilege) bool { return a.ID < b.ID })
			byType := cmpopts.SortSlices(func(a, b agora.Resource) bool { return a.Type<<1|a.Permission < b.Type<<1|b.Permission })
			if diff := cmp.Diff(built, read.Token007, byID, byType, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("the library's token is read otherwise than it was made (-made +read):\n%s", diff)
			}
			if got := hex.EncodeToString(read.Signature[:]); got != v.SignatureHex {
				t.Errorf("signature %s, want %s", got, v.SignatureHex)
			}
			if !read.Verify(v.AppCertificate) || read.Verify(another) {
				t.Error("the token is not verified by its own certificate and no other")
			}
		})
	}
	if tokens < 30 {
		t.Errorf("%d tokens compared, want 30", tokens)
	}
}

func TestTokens007AreVerifiedAsByAgorasLibrary(t *testing.T) {
	var file vectors007
	readVectors(t, "agora-007.json", &file)
	if len(file.VerifyCases) == 0 {
		t.Fatal("there are no cases")
	}
	for _, c := range file.VerifyCases {
		read, err := agora.Parse007(c.Token)
		if parsed := err == nil; parsed != c.Parsed {
			t.Errorf("%s: read: %v, want %v", c.Name, err, c.Parsed)
		}
		if got := err == nil && read.Verify(c.AppCertificate); got != c.SignatureValid {
			t.Errorf("%s: verified %v, want %v", c.Name, got, c.SignatureValid)
		}
	}
}

func TestParse007ReadsWhatAgorasLibraryReads(t *testing.T) {
	raw := payload(t, build007(t, ordinary007()))
	var deflated bytes.Buffer
	z := zlib.NewWriter(&deflated)
	z.Write(raw[:50])
	z.Flush()
	z.Write(raw[50:])
	z.Close()
	for name, token := range map[string]string{
		"several blocks":  "007" + base64.StdEncoding.EncodeToString(deflated.Bytes()),
		"without padding": strings.TrimRight(build007(t, ordinary007()).Reveal(), "="),
	} {
		if !parse007(t, usher.Secret(token)).Verify(certificate) {
			t.Errorf("%s: not verified", name)
		}
	}
}

func TestParse007StopsAtAServiceThatIsNotKnownAndVerifiesAll(t *testing.T) {
	token := ordinary007()
	token.Services = append(token.Services, agora.Service{Type: agora.STT})
	raw := payload(t, build007(t, token))
	raw[len(raw)-4] = 11 // the type that comes after STT
	raw = append(raw, "whatever it has"...)
	read := parse007(t, stored(raw))
	if len(read.Services) != 1 || len(read.Unread) == 0 || read.Unread[0] != 11 {
		t.Errorf("read %+v", read)
	}
	if read.Verify(certificate) {
		t.Error("verified although it was changed")
	}
}

func TestParse007RefusesWhatIsNotOneSoundToken(t *testing.T) {
	sound := build007(t, ordinary007()).Reveal()
	raw := payload(t, usher.Secret(sound))
	with := func(change func(b []byte) []byte) string { return stored(change(slices.Clone(raw))).Reveal() }
	stream, err := base64.StdEncoding.DecodeString(sound[3:])
	if err != nil {
		t.Fatal(err)
	}
	const privileges = 34 + 2 + 32 + 12 + 2 + 2 // where the number of privileges is
	for name, token := range map[string]string{
		"nothing":                    "",
		"a version":                  "007",
		"another version":            "008" + sound[3:],
		"no base64":                  "007!!!!",
		"a line break in the base64": sound[:60] + "\r\n" + sound[60:],
		"no zlib":                    "007" + base64.StdEncoding.EncodeToString(raw),
		"a wrong checksum":           "007" + base64.StdEncoding.EncodeToString(append(slices.Clone(stream[:len(stream)-1]), stream[len(stream)-1]^1)),
		"something after the stream": "007" + base64.StdEncoding.EncodeToString(append(slices.Clone(stream), 0)),
		"a cut stream":               "007" + base64.StdEncoding.EncodeToString(stream[:len(stream)-5]),
		"too long a text":            "007" + strings.Repeat("A", 1<<20),
		"a zip bomb":                 bomb(64 << 20).Reveal(),
		"one byte too many":          bomb(1 << 16).Reveal(),
		"an empty payload":           stored(nil).Reveal(),
		"a short signature":          with(func(b []byte) []byte { b[0] = 31; return b }),
		"an app id that is not hex":  with(func(b []byte) []byte { b[36] = 'x'; return b }),
		"a short app id":             with(func(b []byte) []byte { b[34] = 31; return b }),
		"cut in the times":           with(func(b []byte) []byte { return b[:72] }),
		"cut in the services":        with(func(b []byte) []byte { return b[:len(b)-1] }),
		"something at the end":       with(func(b []byte) []byte { return append(b, 0) }),
		"more services than there":   with(func(b []byte) []byte { b[privileges-4] = 2; return b }),
		"fewer services":             with(func(b []byte) []byte { b[privileges-4] = 0; return b }),
		"endless privileges":         with(func(b []byte) []byte { b[privileges+1] = 0xff; return b }),
		"a privilege twice":          with(func(b []byte) []byte { b[privileges+2+6] = 1; return b }),
	} {
		if read, err := agora.Parse007(usher.Secret(token)); err == nil {
			t.Errorf("%s: read as %+v", name, read)
		}
	}
}

func TestAZipBombCostsNoMoreThanAToken(t *testing.T) {
	token := bomb(64 << 20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := agora.Parse007(token); err == nil {
		t.Error("read")
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("%d bytes were allocated", got)
	}
}

func TestBuild007RefusesWhatHasNoForm(t *testing.T) {
	long := strings.Repeat("a", 1<<16)
	for name, change := range map[string]func(*agora.Token007){
		"a short app id":                 func(t *agora.Token007) { t.AppID = "0123" },
		"an app id that is not hex":      func(t *agora.Token007) { t.AppID = strings.Repeat("x", 32) },
		"no service":                     func(t *agora.Token007) { t.Services = nil },
		"an unknown service":             func(t *agora.Token007) { t.Services[0].Type = 11 },
		"a field that the type has not":  func(t *agora.Token007) { t.Services[0].Type = agora.RTM },
		"a role that the type has not":   func(t *agora.Token007) { t.Services[0].Role = 1 },
		"rights that the type has not":   func(t *agora.Token007) { t.Services[0].Resources = []agora.Resource{{}} },
		"a privilege twice":              func(t *agora.Token007) { t.Services[0].Privileges = []agora.Privilege{{1, 2}, {1, 3}} },
		"a channel longer than its size": func(t *agora.Token007) { t.Services[0].Channel = long },
		"more than is read again":        func(t *agora.Token007) { t.Services[0].Channel, t.Services[0].User = long[:40_000], long[:40_000] },
		"many services":                  func(t *agora.Token007) { t.Services = slices.Repeat(t.Services, 10_000) },
		"a right twice": func(t *agora.Token007) {
			t.Services = []agora.Service{{Type: agora.RTM2, Resources: []agora.Resource{{Permission: 1}, {Permission: 1}}}}
		},
		"a name longer than its size": func(t *agora.Token007) {
			t.Services = []agora.Service{{Type: agora.RTM2, Resources: []agora.Resource{{Names: []string{long}}}}}
		},
	} {
		token := ordinary007()
		change(&token)
		if built, err := agora.Build007(token, certificate); err == nil {
			t.Errorf("%s: built %s", name, built.Reveal())
		}
	}
	for name, c := range map[string]usher.Secret{"short": "short", "empty": "", "not hex": usher.Secret(strings.Repeat("x", 32))} {
		if built, err := agora.Build007(ordinary007(), c); err == nil {
			t.Errorf("a certificate that is %s: built %s", name, built.Reveal())
		} else if c != "" && strings.Contains(err.Error(), c.Reveal()) {
			t.Errorf("a certificate that is %s is in the error: %v", name, err)
		}
	}
}

func TestTokens007AreReadAsTheyWereBuilt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := agora.Token007{
			AppID:    rapid.StringMatching(`[0-9a-fA-F]{32}`).Draw(t, "appID"),
			IssuedAt: rapid.Uint32().Draw(t, "issuedAt"),
			Lifetime: rapid.Uint32().Draw(t, "lifetime"),
			Salt:     rapid.Uint32().Draw(t, "salt"),
			Services: rapid.SliceOfN(rapid.Custom(drawService), 1, 6).Draw(t, "services"),
		}
		token, err := agora.Build007(want, certificate)
		if err != nil {
			t.Fatal(err)
		}
		got, err := agora.Parse007(token)
		if err != nil {
			t.Fatal(err)
		}
		if !got.Verify(certificate) || got.Verify(another) {
			t.Error("the signature is wrong")
		}
		slices.SortStableFunc(want.Services, func(a, b agora.Service) int { return int(a.Type) - int(b.Type) })
		if diff := cmp.Diff(want, got.Token007, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("(-built +read):\n%s", diff)
		}
		if len(got.Unread) > 0 {
			t.Errorf("unread: %x", got.Unread)
		}
	})
}

// drawService draws a service with the fields that its type has.
func drawService(t *rapid.T) agora.Service {
	s := agora.Service{Type: agora.ServiceType(rapid.Uint16Range(1, 10).Draw(t, "type")), Privileges: drawPrivileges(t)}
	if slices.Contains([]agora.ServiceType{agora.RTC, agora.Streaming, agora.FCDN, agora.APaaS}, s.Type) {
		s.Channel = rapid.String().Draw(t, "channel")
	}
	if !slices.Contains([]agora.ServiceType{agora.FPA, agora.ConvoAI, agora.STT}, s.Type) {
		s.User = rapid.String().Draw(t, "user")
	}
	if s.Type == agora.APaaS {
		s.Role = rapid.Int16().Draw(t, "role")
	}
	if s.Type == agora.RTM2 {
		for _, kind := range []uint16{0, 3, 65535} {
			for permission := range rapid.Uint16Range(0, 2).Draw(t, "permissions") {
				names := rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, "names")
				s.Resources = append(s.Resources, agora.Resource{Type: kind, Permission: permission, Names: names})
			}
		}
	}
	return s
}

func FuzzParse007(f *testing.F) {
	var file vectors007
	readVectors(f, "agora-007.json", &file)
	for _, v := range file.Vectors {
		f.Add(v.Token.Reveal())
	}
	for _, c := range file.VerifyCases {
		f.Add(c.Token.Reveal())
	}
	f.Add(bomb(1 << 20).Reveal())
	f.Fuzz(func(t *testing.T, text string) {
		read, err := agora.Parse007(usher.Secret(text))
		if err != nil {
			return
		}
		read.Verify(certificate)
	})
}

// FuzzParse007Payload reaches behind the checksum of the stream.
func FuzzParse007Payload(f *testing.F) {
	var file vectors007
	readVectors(f, "agora-007.json", &file)
	for _, v := range file.Vectors {
		raw, err := hex.DecodeString(v.PayloadHex)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 1<<16-1 {
			return
		}
		read, err := agora.Parse007(stored(raw))
		if err != nil || len(read.Unread) > 0 || len(read.Services) == 0 {
			return
		}
		// What was read and is in order is built again as it came, but for the
		// signature.
		again, err := agora.Build007(read.Token007, certificate)
		if err != nil {
			return // a right that is there twice
		}
		reread := parse007(t, again)
		byType := cmpopts.SortSlices(func(a, b agora.Resource) bool { return a.Type<<1|a.Permission < b.Type<<1|b.Permission })
		slices.SortStableFunc(read.Services, func(a, b agora.Service) int { return int(a.Type) - int(b.Type) })
		if diff := cmp.Diff(read.Token007, reread.Token007, byType, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("(-read +built):\n%s", diff)
		}
	})
}

// ordinary007 is a publisher's token.
func ordinary007() agora.Token007 {
	return agora.Token007{
		AppID: appID, IssuedAt: 1700000000, Lifetime: 3600, Salt: 1,
		Services: []agora.Service{{
			Type: agora.RTC, Channel: "test", User: "1",
			Privileges: []agora.Privilege{{1, 3600}, {2, 3600}, {3, 3600}, {4, 3600}},
		}},
	}
}

// payload inflates a token.
func payload(t testing.TB, token usher.Secret) []byte {
	t.Helper()
	stream, err := base64.StdEncoding.DecodeString(token.Reveal()[3:])
	if err != nil {
		t.Fatal(err)
	}
	z, err := zlib.NewReader(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// stored wraps a payload of up to 65535 bytes.
func stored(payload []byte) usher.Secret {
	stream := []byte{0x78, 0x01, 0x01}
	stream = binary.LittleEndian.AppendUint16(stream, uint16(len(payload)))
	stream = binary.LittleEndian.AppendUint16(stream, ^uint16(len(payload)))
	stream = binary.BigEndian.AppendUint32(append(stream, payload...), adler32.Checksum(payload))
	return usher.Secret("007" + base64.StdEncoding.EncodeToString(stream))
}

// bomb is a short text that inflates to n zeroes.
func bomb(n int64) usher.Secret {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	if _, err := z.Write(make([]byte, n)); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return usher.Secret("007" + base64.StdEncoding.EncodeToString(b.Bytes()))
}

func build007(t testing.TB, token agora.Token007) usher.Secret {
	t.Helper()
	built, err := agora.Build007(token, certificate)
	if err != nil {
		t.Fatal(err)
	}
	return built
}

func parse007(t testing.TB, token usher.Secret) agora.Signed007 {
	t.Helper()
	read, err := agora.Parse007(token)
	if err != nil {
		t.Fatal(err)
	}
	return read
}
