package pgdev

import "syscall"

// ownedAttr puts the child in a process group of its own, so that Ctrl-C in the terminal reaches
// only the owner, which then stops the child in order. If the owner dies without stopping it, the
// kernel sends it onDeath.
func ownedAttr(acct account, onDeath syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: onDeath, Credential: acct.credential}
}
