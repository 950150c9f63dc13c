package pgdev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// lockPollInterval is how often a held lock is tried again: flock can't wait with a context.
const lockPollInterval = 10 * time.Millisecond

var errLocked = errors.New("lock is held")

// fileLock is an exclusive flock. The kernel drops it when the last process with the open file
// ends, in any way. So a held lock proves that its holder is alive, without process ids.
type fileLock struct{ file *os.File }

// tryLock takes the lock or returns errLocked. It never follows a symbolic link: root locks files
// in folders of others.
func tryLock(path string) (*fileLock, error) {
	return openLock(path, os.O_RDWR|os.O_CREATE)
}

// tryExistingLock is tryLock for a file that must already be there.
func tryExistingLock(path string) (*fileLock, error) {
	return openLock(path, os.O_RDWR)
}

func openLock(path string, flags int) (*fileLock, error) {
	file, err := os.OpenFile(path, flags|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errLocked
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	// A process that removes a folder holds its lock. So a lock on a file that is gone by now locks
	// nothing.
	held, heldErr := file.Stat()
	there, thereErr := os.Lstat(path)
	if heldErr != nil || thereErr != nil || !os.SameFile(held, there) {
		_ = file.Close()
		return nil, errLocked
	}
	return &fileLock{file: file}, nil
}

// awaitLock takes the lock as soon as it is free, or gives up with ctx.
func awaitLock(ctx context.Context, path string) (*fileLock, error) {
	ticker := time.NewTicker(lockPollInterval)
	defer ticker.Stop()
	for {
		lock, err := tryLock(path)
		if !errors.Is(err, errLocked) {
			return lock, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", errLocked, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// writePID leaves the holder's process id in the file, for messages only.
func (l *fileLock) writePID(pid int) error {
	if err := l.file.Truncate(0); err != nil {
		return fmt.Errorf("write process id: %w", err)
	}
	if _, err := l.file.WriteAt([]byte(strconv.Itoa(pid)+"\n"), 0); err != nil {
		return fmt.Errorf("write process id: %w", err)
	}
	return nil
}

func (l *fileLock) release() error {
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("release lock: %w", err)
	}
	return nil
}

// readPID returns the number in the first line of a lock or pid file; 0 if there is none.
func readPID(path string) int {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 1 {
		return 0
	}
	return pid
}
