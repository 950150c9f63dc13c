package pgtest

import "syscall"

// endsWithTests makes the kernel end a program when the process of the tests dies without ending
// it.
func endsWithTests(owner *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: owner}
}
