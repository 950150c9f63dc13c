//go:build unix && !linux

package pgtest

import "syscall"

// endsWithTests has nothing to go by here: a program outlives a process of the tests that is killed.
func endsWithTests(owner *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: owner}
}
