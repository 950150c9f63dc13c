package pgdev

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// installation is a folder with the binaries of one Postgres.
type installation struct {
	binDir  string
	version string // such as "15.18"
	major   int
}

func (i installation) initdb() string   { return filepath.Join(i.binDir, "initdb") }
func (i installation) postgres() string { return filepath.Join(i.binDir, "postgres") }
func (i installation) pgCtl() string    { return filepath.Join(i.binDir, "pg_ctl") }

// versionPattern matches what "postgres --version" prints; distributions add their own name behind
// it.
var versionPattern = regexp.MustCompile(`\(PostgreSQL\) ((\d+)[^\s]*)`)

// inspect reports what is in a folder, or in problem why it can't be used. It runs the binary as
// the account that will run the server, since root may see what that account can't.
func inspect(ctx context.Context, acct account, dir string) (inst installation, problem string) {
	inst = installation{binDir: dir}
	for _, binary := range []string{inst.initdb(), inst.postgres()} {
		if info, err := os.Stat(binary); err != nil || info.IsDir() {
			return inst, "no " + filepath.Base(binary)
		}
	}
	cmd := exec.CommandContext(ctx, inst.postgres(), "--version")
	cmd.Dir = "/"
	cmd.Env = childEnv()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: acct.credential}
	out, err := cmd.Output()
	if err != nil {
		return inst, fmt.Sprintf("postgres --version fails as %s: %v", acct.name, err)
	}
	match := versionPattern.FindStringSubmatch(string(out))
	if match == nil {
		return inst, fmt.Sprintf("postgres --version prints %q", strings.TrimSpace(string(out)))
	}
	inst.version = match[1]
	inst.major, _ = strconv.Atoi(match[2]) // digits by the pattern
	if inst.major < minMajor {
		return inst, fmt.Sprintf("version %s is older than %d", inst.version, minMajor)
	}
	return inst, ""
}
