package pgdev

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// sweep removes the temporary folders of owners that were killed. Whatever can't be proven dead, or isn't of an account that
// this process answers for, stays; so does what can't be removed, for a sweep must never keep a server from starting.
func sweep(root string, acct account) {
	dirs, _ := filepath.Glob(filepath.Join(root, tempPrefix+"*")) // its only error is a bad pattern
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || ownerOf(info) != acct.uid {
			continue
		}
		owner, err := tryExistingLock(filepath.Join(dir, ownerLockName))
		if err != nil {
			continue
		}
		// Missing when the owner died before it started a server.
		server, err := tryExistingLock(filepath.Join(dir, serverLockName))
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			_ = os.RemoveAll(dir)
		}
		if server != nil {
			_ = server.release()
		}
		_ = owner.release()
	}
}

func ownerOf(info fs.FileInfo) int {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1
	}
	return int(stat.Uid)
}
