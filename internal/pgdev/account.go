package pgdev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// account is the user that runs initdb and postgres. Postgres refuses to run as root, so root hands
// over to another user.
type account struct {
	name       string
	uid, gid   int
	credential *syscall.Credential // nil: the current user
}

// chooseAccount returns the current user, or for root: postgres, else nobody.
func chooseAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{name: currentName(), uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr != nil || gidErr != nil || uid == 0 {
			continue
		}
		return account{
			name: name, uid: int(uid), gid: int(gid),
			// No supplementary groups: root's must not be handed on.
			credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: []uint32{}},
		}, nil
	}
	return account{}, errors.New(
		"postgres can't run as root, and this machine has neither a postgres nor a nobody account to run it as: " +
			"create one (useradd --system postgres) or run as an ordinary user")
}

// currentName falls back to the number: containers often use user ids without an entry in passwd.
func currentName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "user " + strconv.Itoa(os.Geteuid())
}

// own hands a file or folder to the account.
func (a account) own(path string) error {
	if a.credential == nil {
		return nil
	}
	if err := os.Lchown(path, a.uid, a.gid); err != nil {
		return fmt.Errorf("hand %s to %s: %w", path, a.name, err)
	}
	return nil
}

// canEnter reports whether the account can reach the folder through all its parents. It asks the
// kernel, by changing into the folder as that account. Permission bits alone would leave out access
// lists and mount options.
func (a account) canEnter(ctx context.Context, dir string) bool {
	if a.credential == nil {
		return true
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", ":")
	cmd.Dir = dir
	cmd.Env = childEnv()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential}
	return cmd.Run() == nil
}
