package agora_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"usher"
	"usher/internal/platform/agora"
)

const (
	appID       = "0123456789abcdef0123456789abcdef"
	certificate = usher.Secret("fedcba9876543210fedcba9876543210")
	another     = usher.Secret("00112233445566778899aabbccddeeff")
)

// readVectors reads tokens that Agora's libraries made: see testdata/README.md.
func readVectors(t testing.TB, file string, into any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

type vectors006 struct {
	Vectors []struct {
		Name           string
		Fn             string
		AppID          string
		AppCertificate usher.Secret
		Salt           uint32
		TS             uint32
		Input          struct {
			Role               any
			PrivilegeExpiredTs any
			Privileges         [][2]uint32
		}
		SignedChannel, SignedUID string
		Token                    usher.Secret
		Error                    string
		Decoded                  struct {
			SignatureHex       string
			CRCChannel, CRCUid uint32
			Privileges         map[uint16]uint32
		}
	}
}

// privileges006 are the privileges that Agora's builder gives for an input.
func privileges006(fn string, role any, expires any, raw [][2]uint32) []agora.Privilege {
	at := uint32(0) // what Agora's builder makes of what is no number
	if n, ok := expires.(float64); ok {
		at = uint32(n)
	}
	var ids []uint16
	switch {
	case fn == "raw":
		var privileges []agora.Privilege
		for _, p := range raw {
			privileges = append(privileges, agora.Privilege{ID: uint16(p[0]), Expires: p[1]})
		}
		return privileges
	case fn == "rtm":
		ids = []uint16{agora.LoginRTM}
	case role == 2.0:
		ids = []uint16{agora.JoinChannel}
	default:
		ids = []uint16{agora.JoinChannel, agora.PublishAudio, agora.PublishVideo, agora.PublishData}
	}
	var privileges []agora.Privilege
	for _, id := range ids {
		privileges = append(privileges, agora.Privilege{ID: id, Expires: at})
	}
	return privileges
}

func TestTokens006AreThoseOfAgorasLibraryByteForByte(t *testing.T) {
	var file vectors006
	readVectors(t, "agora-006.json", &file)
	tokens := 0
	for _, v := range file.Vectors {
		if v.Error != "" {
			continue // what the library throws at, our types can't say
		}
		tokens++
		t.Run(v.Name, func(t *testing.T) {
			built := agora.Token006{
				AppID: v.AppID, Channel: v.SignedChannel, User: v.SignedUID, Salt: v.Salt, Expires: v.TS,
				Privileges: privileges006(v.Fn, v.Input.Role, v.Input.PrivilegeExpiredTs, v.Input.Privileges),
			}
			token, err := agora.Build006(built, v.AppCertificate)
			if err != nil {
				t.Fatal(err)
			}
			if token != v.Token {
				t.Errorf("built  %s\nwant   %s", token.Reveal(), v.Token.Reveal())
			}
			read, err := agora.Parse006(v.Token)
			if err != nil {
				t.Fatal(err)
			}
			if read.AppID != v.AppID || read.Salt != v.Salt || read.Expires != v.TS {
				t.Errorf("read %+v", read)
			}
			if read.ChannelSum != v.Decoded.CRCChannel || read.UserSum != v.Decoded.CRCUid ||
				hex.EncodeToString(read.Signature[:]) != v.Decoded.SignatureHex {
				t.Errorf("read %+v, want %+v", read, v.Decoded)
			}
			got := make(map[uint16]uint32)
			for _, p := range read.Privileges {
				got[p.ID] = p.Expires
			}
			if diff := cmp.Diff(v.Decoded.Privileges, got); diff != "" {
				t.Errorf("privileges (-want +got):\n%s", diff)
			}
			if !read.Verify(v.SignedChannel, v.SignedUID, v.AppCertificate) {
				t.Error("the token is not verified by its own certificate")
			}
			if read.Verify(v.SignedChannel, v.SignedUID, another) || read.Verify(v.SignedChannel+"x", v.SignedUID, v.AppCertificate) ||
				read.Verify(v.SignedChannel, v.SignedUID+"1", v.AppCertificate) {
				t.Error("the token is verified for what it is not")
			}
		})
	}
	if tokens < 24 {
		t.Errorf("%d tokens compared, want 24", tokens)
	}
}

// The names are signed without anything between them and their checksums are
// not signed, so that a holder can move the border. Nothing but 007 helps.
func TestA006TokenCanBeAlteredToBeForNamesWithTheSameLetters(t *testing.T) {
	one := agora.Token006{AppID: appID, Channel: "room", User: "12", Salt: 7, Expires: 1700086400, Privileges: []agora.Privilege{{ID: 1, Expires: 1700003600}}}
	two := one
	two.Channel, two.User = "room1", "2"
	a, b := parse006(t, build006(t, one)), parse006(t, build006(t, two))
	if a.Signature != b.Signature {
		t.Error("the signatures differ: the format has changed, and so must its documentation")
	}
	if a.Verify("room1", "2", certificate) {
		t.Error("a token is verified for another channel although its checksums differ")
	}
}

func TestParse006RefusesWhatIsNotOneSoundToken(t *testing.T) {
	sound := build006(t, agora.Token006{AppID: appID, Channel: "test", User: "1", Salt: 1, Expires: 2, Privileges: []agora.Privilege{{1, 2}, {2, 3}}}).Reveal()
	content, err := base64.StdEncoding.DecodeString(sound[35:])
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(b []byte) []byte) string {
		return sound[:35] + base64.StdEncoding.EncodeToString(change(append([]byte(nil), content...)))
	}
	for name, token := range map[string]string{
		"nothing":                    "",
		"a version":                  "006",
		"an app id":                  sound[:35],
		"half an app id":             sound[:20],
		"another version":            "005" + sound[3:],
		"a space in the app id":      "006" + " " + sound[4:],
		"a bullet in the app id":     "006" + "•" + sound[6:],
		"no base64":                  sound[:35] + "!" + sound[36:],
		"a line break in the base64": sound[:60] + "\n" + sound[60:],
		"base64 without padding":     strings.TrimRight(with(func(b []byte) []byte { return append(b, 0) }), "="),
		"too long a text":            sound[:35] + strings.Repeat("A", 1<<20),
		"a short signature":          with(func(b []byte) []byte { return append([]byte{31, 0}, b[2:]...) }),
		"a signature without end":    with(func(b []byte) []byte { b[0], b[1] = 0xff, 0xff; return b }),
		"cut in the checksums":       with(func(b []byte) []byte { return b[:38] }),
		"cut in the message":         with(func(b []byte) []byte { return b[:len(b)-1] }),
		"something at the end":       with(func(b []byte) []byte { return append(b, 0) }),
		"a message that is too long": with(func(b []byte) []byte { b[42]++; return append(b, 0) }),
		"more privileges than there": with(func(b []byte) []byte { b[52] = 200; return b }),
		"fewer privileges":           with(func(b []byte) []byte { b[52] = 1; return b }),
		"a privilege twice":          with(func(b []byte) []byte { b[60] = 1; return b }),
		"descending privileges":      with(func(b []byte) []byte { b[54] = 9; return b }),
	} {
		if read, err := agora.Parse006(usher.Secret(token)); err == nil {
			t.Errorf("%s: read as %+v", name, read)
		}
	}
}

func TestBuild006RefusesWhatHasNoForm(t *testing.T) {
	many := make([]agora.Privilege, 11_000)
	for i := range many {
		many[i].ID = uint16(i)
	}
	for name, token := range map[string]agora.Token006{
		"a short app id":      {AppID: "0123"},
		"a privilege twice":   {AppID: appID, Privileges: []agora.Privilege{{1, 2}, {2, 2}, {1, 3}}},
		"too many privileges": {AppID: appID, Privileges: many},
	} {
		if built, err := agora.Build006(token, certificate); err == nil {
			t.Errorf("%s: built %s", name, built.Reveal())
		}
	}
}

func TestTokens006AreReadAsTheyWereBuilt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := agora.Token006{
			AppID:      rapid.StringMatching(`[!-~]{32}`).Draw(t, "appID"),
			Channel:    rapid.String().Draw(t, "channel"),
			User:       rapid.String().Draw(t, "user"),
			Salt:       rapid.Uint32().Draw(t, "salt"),
			Expires:    rapid.Uint32().Draw(t, "expires"),
			Privileges: drawPrivileges(t),
		}
		token, err := agora.Build006(want, certificate)
		if err != nil {
			t.Fatal(err)
		}
		got, err := agora.Parse006(token)
		if err != nil {
			t.Fatal(err)
		}
		if !got.Verify(want.Channel, want.User, certificate) || got.Verify(want.Channel, want.User, another) {
			t.Error("the signature is wrong")
		}
		want.Channel, want.User = "", ""
		if diff := cmp.Diff(want, got.Token006); diff != "" {
			t.Errorf("(-built +read):\n%s", diff)
		}
	})
}

// drawPrivileges draws privileges in their order.
func drawPrivileges(t *rapid.T) []agora.Privilege {
	set := rapid.MapOfN(rapid.Uint16(), rapid.Uint32(), 0, 5).Draw(t, "privileges")
	privileges := make([]agora.Privilege, 0, len(set))
	for _, id := range slices.Sorted(maps.Keys(set)) {
		privileges = append(privileges, agora.Privilege{ID: id, Expires: set[id]})
	}
	return privileges
}

func build006(t testing.TB, token agora.Token006) usher.Secret {
	t.Helper()
	built, err := agora.Build006(token, certificate)
	if err != nil {
		t.Fatal(err)
	}
	return built
}

func parse006(t testing.TB, token usher.Secret) agora.Signed006 {
	t.Helper()
	read, err := agora.Parse006(token)
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func FuzzParse006(f *testing.F) {
	var file vectors006
	readVectors(f, "agora-006.json", &file)
	for _, v := range file.Vectors {
		f.Add(v.Token.Reveal())
	}
	f.Add("006")
	f.Fuzz(func(t *testing.T, text string) {
		read, err := agora.Parse006(usher.Secret(text))
		if err != nil {
			return
		}
		// There is one spelling of a token: building what was read gives it again,
		// but for what it does not say.
		again, err := agora.Build006(read.Token006, certificate)
		if err != nil {
			t.Fatalf("what was read can't be built: %v", err)
		}
		if len(again) != len(text) {
			t.Errorf("%q is read as what is built as %q", text, again.Reveal())
		}
	})
}
