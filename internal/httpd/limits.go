package httpd

import (
	"time"

	"usher/internal/limit"
)

// Limiters are the limits that go by address.
type Limiters struct {
	// open and failed limit the calls that anyone may make, and those that fail
	// to say who calls; warned limits the lines about both.
	open, failed, warned *limit.Keyed
}

// NewLimiters returns limits that read their clock from now.
func NewLimiters(limits limit.Config, now func() time.Time) *Limiters {
	return &Limiters{
		open: limit.New(limits.Open, now), failed: limit.New(limits.Failed, now),
		warned: limit.New(limit.Rate{Count: 1, Per: time.Minute}, now),
	}
}

// Set changes the limits from now on.
func (l *Limiters) Set(limits limit.Config) {
	l.open.SetRate(limits.Open)
	l.failed.SetRate(limits.Failed)
}
