package signaling

import "testing"

func TestACrowdHasSettledOnceNobodyComesAnyMore(t *testing.T) {
	var c crowd
	for i, step := range []struct {
		opened int64
		all    int
		want   bool
	}{
		{0, 0, false},
		{600, 600, false},
		{999, 999, false}, {999, 999, false}, // not many
		{1000, 1000, false}, {1000, 1000, true}, {1000, 1000, false},
		{1999, 1500, false}, {1999, 1500, false},
		{2001, 1500, false}, {2500, 1500, false}, {2500, 1500, true},
		{12_500, 40_000, false}, {12_500, 40_000, true},
		{22_499, 40_000, false}, {22_499, 40_000, false}, // less than a quarter
		{22_500, 40_000, false}, {22_500, 40_000, true},
	} {
		if got := c.settled(step.opened, step.all); got != step.want {
			t.Errorf("step %d, %d so far: got %v, want %v", i, step.opened, got, step.want)
		}
	}
}
