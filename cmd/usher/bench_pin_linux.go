package main

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// cores is a set of processor cores, as the kernel writes it: a bit for each.
type cores [16]uint64

// coresOf returns the cores that a thread may run on; 0 is the calling one.
func coresOf(thread int) (c cores, err error) {
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, uintptr(thread), unsafe.Sizeof(c), uintptr(unsafe.Pointer(&c)))
	if errno != 0 {
		return c, errno
	}
	return c, nil
}

func setCores(thread int, c cores) error {
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, uintptr(thread), unsafe.Sizeof(c), uintptr(unsafe.Pointer(&c)))
	if errno != 0 {
		return errno
	}
	return nil
}

// apart returns one core for a server and one for its clients, and false if
// there are no two.
func apart() (server, clients cores, ok bool) {
	all, err := coresOf(0)
	if err != nil {
		return cores{}, cores{}, false
	}
	found := []*cores{&server, &clients}
	for i := range len(all) * 64 {
		if all[i/64]&(1<<(i%64)) != 0 && len(found) > 0 {
			found[0][i/64] = 1 << (i % 64)
			found = found[1:]
		}
	}
	return server, clients, len(found) == 0
}

// keepTo has this process run on some cores from now on, until back is called.
func keepTo(c cores) (back func() error, err error) {
	before, err := coresOf(0)
	if err != nil {
		return nil, err
	}
	return func() error { return keepThreadsTo(before) }, keepThreadsTo(c)
}

func keepThreadsTo(c cores) error {
	// Twice: a thread that came while the first look was taken is seen by the second.
	for range 2 {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				return err
			}
			if err := setCores(id, c); err != nil && !errors.Is(err, syscall.ESRCH) { // it has ended
				return err
			}
		}
	}
	return nil
}

// startOn calls start, and the process that it starts runs on some cores.
func startOn(c cores, start func() error) error {
	runtime.LockOSThread() // whose child it is
	defer runtime.UnlockOSThread()
	before, err := coresOf(0)
	if err != nil {
		return err
	}
	if err := setCores(0, c); err != nil {
		return err
	}
	return errors.Join(start(), setCores(0, before))
}

// timerSlack is PR_SET_TIMERSLACK: how late the kernel may wake a thread.
const timerSlack = 29

// exactly has naps on the calling thread end when they should, and not up to
// 50 µs later.
func exactly() { _, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, timerSlack, 1, 0) }

// nap waits, without using the core meanwhile: the runtime's own timers are
// coarser than what is measured.
func nap(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&t, nil) // what is interrupted is called again
}
