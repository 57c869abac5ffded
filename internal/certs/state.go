package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// State is how a certificate is.
type State struct {
	Host string
	Leaf *x509.Certificate // nil while there is none
	Err  error             // why it is not a newer one; nil if it need not be
}

// littleTime is how long before its end a certificate should have been renewed
// by whoever renews it. Of one for a short time it is the last sixth.
const littleTime = 14 * 24 * time.Hour

func lifetime(leaf *x509.Certificate) time.Duration { return leaf.NotAfter.Sub(leaf.NotBefore) }

// Late reports that a certificate ends soon, and should have been renewed.
func Late(leaf *x509.Certificate, now time.Time) bool {
	return now.After(leaf.NotAfter.Add(-min(littleTime, lifetime(leaf)/6)))
}

// Check returns a sentence about why callers can't, or soon can't, trust what
// they are shown; nil if they can.
func (s State) Check(now time.Time) error {
	switch {
	case s.Leaf == nil && s.Err == nil:
		return errors.New("there is none yet")
	case s.Leaf == nil:
		return fmt.Errorf("there is none: %w", s.Err)
	case s.Leaf.NotBefore.After(now):
		return fmt.Errorf("it is not good before %s", s.Leaf.NotBefore.Format(time.DateTime))
	case !s.Leaf.NotAfter.After(now):
		return s.because("it ended at %s", s.Leaf.NotAfter)
	case Late(s.Leaf, now):
		return s.because("it ends at %s", s.Leaf.NotAfter)
	}
	return nil
}

func (s State) because(sentence string, when time.Time) error {
	err := fmt.Errorf(sentence, when.Format(time.DateTime))
	if s.Err != nil {
		return fmt.Errorf("%w: %w", err, s.Err)
	}
	return err
}
