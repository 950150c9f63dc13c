//go:build unix && !linux

package pgtest

import "syscall"

// endsWithTests does nothing here: a program outlives a killed process of the tests.
func endsWithTests(owner *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: owner}
}
