package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/testlog"
)

// TestUnit_IsValidAndSafe in the eyes of systemd: no unknown setting, and little exposure.
func TestUnit_IsValidAndSafe(t *testing.T) {
	t.Parallel()
	analyze := pgtest.FindProgram(t, "systemd-analyze")
	// Only this machine lacks the binary and its manual.
	unit := strings.ReplaceAll(servicetest.Text(t, "deploy/systemd/rolecall.service"), "/usr/bin/rolecall", "/bin/true")
	file := filepath.Join(t.TempDir(), "rolecall.service")
	require.NoError(t, os.WriteFile(file, []byte(unit), 0o600))
	out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", file).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Empty(t, strings.TrimSpace(string(out)), "also no warning")
	const most = "15" // tenths of systemd's scale, which ends at ten
	out, err = exec.CommandContext(t.Context(), analyze, "security", "--offline=yes", "--no-pager", "--threshold="+most, file).CombinedOutput()
	require.NoError(t, err, string(out))
}

// TestRollingRestart_OfUnits: systemd itself runs two units, behind Caddy over TLS, and restarts
// them under load. It is a systemd of the test's own: the first process in namespaces that see this
// machine's files, and change none.
func TestRollingRestart_OfUnits(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	needsRoot(t)
	database := pgtest.NewCluster(t, nil).Migrated("supervised")
	r := openRolling(t, database, asUnits)
	r.behindCaddy(t)
	r.restartBoth(t, func(int) {})
}

// bootSystemd is a shell script that becomes systemd. It is the first process in new namespaces of
// mounts and processes, and gets a folder. It moves into a control group of its own first.
const bootSystemd = `set -e
group=/sys/fs/cgroup/systemd
[ -d $group ] || group=/sys/fs/cgroup
mkdir "$group/$2"
echo 0 > "$group/$2/cgroup.procs"
exec unshare --cgroup sh -ec '
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
cd "$1"
mkdir root changed work
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/changed,workdir=$1/work" root
mount -t proc proc root/proc
mount -t sysfs sysfs root/sys
mount --rbind /dev root/dev
mount -t tmpfs tmpfs root/run
mount -t tmpfs tmpfs root/tmp
if [ "$2" = v2 ]; then
	mount -t cgroup2 cgroup2 root/sys/fs/cgroup
else
	mount -t tmpfs tmpfs root/sys/fs/cgroup
	mkdir root/sys/fs/cgroup/systemd
	mount -t cgroup -o none,name=systemd cgroup root/sys/fs/cgroup/systemd
fi
rm -rf root/etc/systemd/system root/etc/rolecall
mkdir -p root/etc/systemd/system root/etc/rolecall/secrets
cp "$3" root/usr/bin/rolecall
printf "[Unit]\nDefaultDependencies=no\n" > root/etc/systemd/system/nothing.target
cd root
pivot_root . .
umount -l .
cd /
mount --make-rshared / # as systemd expects it: so it hands credentials over
exec env -i container=test "PATH=$PATH" /usr/lib/systemd/systemd --unit=nothing.target
' sh "$1" "$([ "$group" = /sys/fs/cgroup ] && echo v2)" "$3"
`

// systemd is a running systemd of the test's own.
type systemd struct {
	pid  int
	root string // its files, as this machine sees them
}

func startSystemd(t *testing.T, binary string) *systemd {
	t.Helper()
	pgtest.FindProgram(t, "systemd-analyze")
	folder := t.TempDir()
	group := fmt.Sprintf("rolecall-test-%d", os.Getpid())
	command := exec.CommandContext(t.Context(), "sh", "-c", bootSystemd, "sh", folder, group, binary)
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC, Pdeathsig: syscall.SIGKILL,
	}
	var said testlog.Lines
	command.Stdout, command.Stderr = &said, &said
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill() // which ends all that it runs
		_ = command.Wait()
		for _, tree := range []string{"/sys/fs/cgroup/systemd/", "/sys/fs/cgroup/"} {
			_ = exec.Command("find", tree+group, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";").Run() // empty groups; one of the trees isn't there
		}
		if t.Failed() {
			t.Log(said.String())
		}
	})
	s := &systemd{pid: command.Process.Pid, root: fmt.Sprintf("/proc/%d/root", command.Process.Pid)}
	require.Eventually(t, func() bool {
		out, _ := s.do("systemctl", "is-system-running") // it exits with 1 for "degraded"
		require.Empty(t, said.String())
		return strings.Contains(out, "running") || strings.Contains(out, "degraded")
	}, 30*time.Second, 50*time.Millisecond, &said)
	return s
}

// do runs a command beside systemd.
func (s *systemd) do(args ...string) (string, error) {
	enter := append([]string{"--target", fmt.Sprint(s.pid), "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--root", "--wd"}, args...)
	out, err := exec.Command("nsenter", enter...).CombinedOutput() // it ends with systemd
	return strings.TrimSpace(string(out)), err
}

func (s *systemd) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.do(args...)
	require.NoError(t, err, out)
	return out
}

func (s *systemd) write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	require.NoError(t, os.WriteFile(s.root+path, []byte(text), mode))
}

// asUnits installs the unit twice, as docs/deploy.md says, and starts both.
func asUnits(t *testing.T, env [2]map[string]string) (instances [2]running) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "rolecall")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "nodev", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	s := startSystemd(t, binary)
	secrets := map[string]bool{"DATABASE_URL": true, "CLERK_SECRET_KEY": true, "CLERK_WEBHOOK_SIGNING_SECRET": true}
	unit := servicetest.Text(t, "deploy/systemd/rolecall.service")
	for n, name := range []string{"rolecall", "rolecall-b"} {
		var file strings.Builder
		for setting, value := range env[n] {
			if secrets[setting] {
				s.write(t, "/etc/rolecall/secrets/"+setting, value+"\n", 0o600)
			} else {
				fmt.Fprintf(&file, "%s=%s\n", setting, value)
			}
		}
		s.write(t, "/etc/rolecall/"+name+".env", file.String(), 0o644)
		s.write(t, "/etc/systemd/system/"+name+".service", unit, 0o644)
		folder := s.root + "/etc/systemd/system/" + name + ".service.d"
		require.NoError(t, os.Mkdir(folder, 0o755))
		s.write(t, strings.TrimPrefix(folder, s.root)+"/log.conf", "[Service]\nStandardError=append:/run/%N.log\n", 0o644) // there is no journal
	}
	s.must(t, "systemctl", "daemon-reload")
	for n, name := range []string{"rolecall", "rolecall-b"} {
		u := &unitInstance{systemd: s, name: name, readyz: "http://" + env[n]["ROLECALL_ADMIN_ADDR"] + "/readyz"}
		u.start(t)
		instances[n] = u
		require.NotEqual(t, "0", s.must(t, "stat", "--format=%u", "/proc/"+u.shown(t, "MainPID")), "not as root")
	}
	return instances
}

// unitInstance is an instance under systemd.
type unitInstance struct {
	*systemd

	name, readyz string
}

// do lets systemd start or stop the unit. It returns when the process is ready, or has ended.
func (u *unitInstance) do(t *testing.T, what string) {
	t.Helper()
	if out, err := u.systemd.do("systemctl", what, u.name); err != nil {
		log, _ := os.ReadFile(u.root + "/run/" + u.name + ".log")
		require.NoError(t, err, "%s\n%s", out, log)
	}
}

// start also holds that the process is ready once systemd says so.
func (u *unitInstance) start(t *testing.T) {
	t.Helper()
	u.do(t, "start")
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	status, text := servicetest.Fetch(t.Context(), client, u.readyz)
	require.Equal(t, http.StatusOK, status, text)
}

func (u *unitInstance) shown(t *testing.T, property string) string {
	t.Helper()
	return u.must(t, "systemctl", "show", "--property="+property, "--value", u.name)
}

func (u *unitInstance) restart(t *testing.T) {
	t.Helper()
	u.do(t, "stop")
	require.Equal(t, "success", u.shown(t, "Result"))
	require.Equal(t, "0", u.shown(t, "ExecMainStatus"))
	u.start(t)
}
