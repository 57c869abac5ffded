// Package limit keeps a token bucket for each of many keys: addresses,
// identities, rooms.
//
// A bucket that is full again is forgotten, so that the memory is bounded by
// how many keys are active; a key beyond the bound shares one bucket with the
// others that are, so that a flood of keys limits itself and nobody else.
package limit

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"usher"
)

// Rate is how often something may happen: so many times in a period, all of
// them at once if none was used for as long. A zero Rate is no limit.
type Rate struct {
	Count int
	Per   time.Duration
}

// Limited reports whether there is a limit at all.
func (r Rate) Limited() bool { return r.Count > 0 && r.Per > 0 }

// interval is the time in which one token comes back.
func (r Rate) interval() time.Duration { return max(1, r.Per/time.Duration(r.Count)) }

// maxKeys bounds the keys of one shard.
const (
	shards  = 16
	maxKeys = 4096
)

// Keyed limits by key. It is safe for concurrent use.
type Keyed struct {
	rate atomic.Pointer[Rate]
	now  func() time.Time
	seed maphash.Seed
	part [shards]shard
}

type shard struct {
	mu sync.Mutex
	// full is, for each key, when its bucket will be full: one time says how
	// many tokens are missing now (the "virtual scheduling" form of GCRA,
	// ITU-T I.371).
	full map[string]time.Time
	// swept is when full buckets were last forgotten: a flood must not make
	// every call look through all keys.
	swept time.Time
}

// sweepEvery is the least time between two looks through all keys of a shard.
const sweepEvery = time.Second

// New returns a limiter that reads its clock from now.
func New(rate Rate, now func() time.Time) *Keyed {
	k := &Keyed{now: now, seed: maphash.MakeSeed()}
	k.SetRate(rate)
	for i := range k.part {
		k.part[i].full = make(map[string]time.Time)
	}
	return k
}

// SetRate changes the rate from now on. What buckets lack stays lacking.
func (k *Keyed) SetRate(rate Rate) { k.rate.Store(&rate) }

// overflow is the key that all keys share for which there is no room.
const overflow = ""

// Allow takes a token from the key's bucket. If there is none it returns how
// long it takes until there is.
func (k *Keyed) Allow(key string) (wait time.Duration, ok bool) {
	return k.AllowAt(key, *k.rate.Load())
}

// AllowAt is [Keyed.Allow] at a rate of the key's own.
func (k *Keyed) AllowAt(key string, rate Rate) (wait time.Duration, ok bool) {
	if !rate.Limited() {
		return 0, true
	}
	now := k.now()
	s := &k.part[maphash.String(k.seed, key)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	key = s.bucket(key, now)
	full, over := s.less(key, rate, now)
	if over > 0 {
		return over, false
	}
	s.full[key] = full
	return 0, true
}

// Peek reports whether Allow would take a token, without taking one.
func (k *Keyed) Peek(key string) (wait time.Duration, ok bool) {
	rate := *k.rate.Load()
	if !rate.Limited() {
		return 0, true
	}
	now := k.now()
	s := &k.part[maphash.String(k.seed, key)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	_, over := s.less(s.bucket(key, now), rate, now)
	return max(over, 0), over <= 0
}

// bucket returns the key whose bucket a key has: its own, or the one that is
// shared. The caller holds s.mu.
func (s *shard) bucket(key string, now time.Time) string {
	if _, known := s.full[key]; known || len(s.full) < maxKeys {
		return key
	}
	if now.Sub(s.swept) >= sweepEvery {
		s.forget(now)
	}
	if len(s.full) >= maxKeys {
		return overflow
	}
	return key
}

// less returns when a bucket will be full with a token less, and by how much
// that is more than the bucket holds. The caller holds s.mu.
func (s *shard) less(key string, rate Rate, now time.Time) (full time.Time, over time.Duration) {
	if full = s.full[key]; full.Before(now) {
		full = now
	}
	full = full.Add(rate.interval())
	return full, full.Sub(now) - rate.Per
}

// forget drops the buckets that are full again.
func (s *shard) forget(now time.Time) {
	s.swept = now
	for key, full := range s.full {
		if !full.After(now) {
			delete(s.full, key)
		}
	}
}

// Exceeded is the error for a limit that was met.
func Exceeded(wait time.Duration) *usher.Error {
	err := usher.Errorf(usher.TooMany, "rate_limited", "That was asked for too often; try again later.")
	err.RetryAfter = wait
	return err
}

// AddressKey is the key of an address: itself, or for IPv6 its /64, which is
// what one household or machine has.
func AddressKey(addr netip.Addr) string {
	addr = addr.Unmap()
	if addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.WithZone("").Prefix(64)
	if err != nil || !addr.IsValid() {
		return "unknown"
	}
	return prefix.String()
}
