package usher_test

import (
	"strings"
	"testing"

	"usher"
)

func TestCallReasonForm(t *testing.T) {
	for reason, want := range map[usher.CallReason]bool{
		usher.UserHangup: true, "Own-reason_2": true, usher.CallReason(strings.Repeat("r", 64)): true,
		"": false, "two words": false, "é": false, usher.CallReason(strings.Repeat("r", 65)): false,
	} {
		if got := reason.Valid(); got != want {
			t.Errorf("%q: got %t, want %t", reason, got, want)
		}
	}
}
