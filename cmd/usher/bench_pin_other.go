//go:build !linux

package main

import "time"

// cores can't be told apart here.
type cores struct{}

func apart() (server, clients cores, ok bool) { return cores{}, cores{}, false }

func keepTo(cores) (back func() error, err error) { return func() error { return nil }, nil }

func startOn(_ cores, start func() error) error { return start() }

func exactly() {}

func nap(d time.Duration) { time.Sleep(d) }
