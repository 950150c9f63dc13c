package pgdev

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// sweep removes the temporary folders of owners that were killed. It leaves a folder alone if its
// owner isn't proven dead, or if it belongs to an account that this process doesn't use. It also
// leaves what it can't remove, so that it never keeps a server from starting.
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
		// It is missing if the owner died before it started a server.
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
