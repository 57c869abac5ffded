package access

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
)

// Each field by itself, so that one that is added to Identity is not forgotten.
func TestALiveConnectionKeepsAllOfItsIdentity(t *testing.T) {
	var all usher.Identity
	fields := reflect.ValueOf(&all).Elem()
	for i := range fields.NumField() {
		name := fields.Type().Field(i).Name
		switch f := fields.Field(i); {
		case f.Kind() == reflect.String:
			f.SetString("its " + name)
		case f.Kind() == reflect.Bool:
			f.SetBool(true)
		case f.Type() == reflect.TypeFor[time.Time]():
			f.Set(reflect.ValueOf(time.Date(2026, 11, 21, 8, i, 0, 1, time.UTC)))
		case f.Kind() == reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
			f.Index(0).SetString("its " + name)
		default:
			t.Fatalf("a field of a new kind: %s", name)
		}
	}
	for _, id := range []usher.Identity{all, {}, {Kind: usher.UserIdentity, Subject: "ann"}} {
		if diff := cmp.Diff(id, newBearer(id).identity()); diff != "" {
			t.Errorf("got (-want +got)\n%s", diff)
		}
	}
}
