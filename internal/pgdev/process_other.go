//go:build unix && !linux

package pgdev

import "syscall"

// ownedAttr puts the child in a process group of its own, so that Ctrl-C in the terminal reaches
// only the owner, which then stops the child in order. There is no parent-death signal here: the
// next claim of the data folder ends an orphan.
func ownedAttr(acct account, _ syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: acct.credential}
}
