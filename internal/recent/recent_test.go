package recent_test

import (
	"testing"

	"usher"
	"usher/internal/recent"
)

func TestMap(t *testing.T) {
	digest := func(s usher.Secret) usher.Digest { return s.Digest() }
	m := recent.New[string](2)
	m.Put(digest("a"), "1")
	m.Put(digest("b"), "2")
	m.Put(digest("a"), "3")
	m.Put(digest("c"), "4") // b was not used for longest
	for _, tt := range []struct {
		proof usher.Secret
		want  string
		kept  bool
	}{{"a", "3", true}, {"b", "", false}, {"c", "4", true}} {
		if got, kept := m.Get(digest(tt.proof)); got != tt.want || kept != tt.kept {
			t.Errorf("got %q, %v, want %q, %v", got, kept, tt.want, tt.kept)
		}
	}
	m.Get(digest("a"))
	m.Put(digest("d"), "5") // c was not used for longest
	if _, kept := m.Get(digest("c")); kept {
		t.Error("what was not used for longest is kept")
	}
	m.Remove(digest("a"))
	if _, kept := m.Get(digest("a")); kept {
		t.Error("what was removed is kept")
	}
}

func TestMapThatKeepsNothing(t *testing.T) {
	for _, max := range []int{0, -1} {
		m := recent.New[int](max)
		m.Put(usher.Secret("a").Digest(), 1)
		if _, kept := m.Get(usher.Secret("a").Digest()); kept {
			t.Errorf("a map of at most %d keeps a value", max)
		}
	}
}
