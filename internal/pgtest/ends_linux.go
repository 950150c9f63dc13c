package pgtest

import "syscall"

// endsWithTests has the kernel end a program when the process of the tests dies without doing so.
func endsWithTests(owner *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: owner}
}
