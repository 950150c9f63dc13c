package main

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/joho/godotenv"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/testlog"
)

// devAnywhere are arguments of a dev that gets in the way of no other.
func devAnywhere(more ...string) []string {
	const free = "127.0.0.1:0"
	return append([]string{"dev", "--listen", free, "--admin", free, "--playground", free, "--simulator", free}, more...)
}

// devReady is in the last line that dev prints before the first event.
const devReady = "Below, "

// rows is how many rows a text takes in a terminal of 80 columns.
func rows(text string) (n int) {
	for line := range strings.Lines(text) {
		n += 1 + max(utf8.RuneCountInString(strings.TrimSuffix(line, "\n"))-1, 0)/80
	}
	return n
}

// requireClosed requires that nothing listens at the printed addresses any more.
func requireClosed(t *testing.T, text string) {
	t.Helper()
	urls := regexp.MustCompile(`http://([\d.:]+)`).FindAllStringSubmatch(text, -1)
	require.Len(t, urls, 4, text)
	for _, url := range urls {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", url[1])
		if err == nil {
			require.NoError(t, conn.Close())
		}
		require.Error(t, err, url[0])
	}
}

// TestDev_RunsWithoutSettings runs the README's first command, and interrupts it.
func TestDev_RunsWithoutSettings(t *testing.T) {
	for _, s := range (config.Config{}).Settings() {
		t.Setenv(s.Name, "")
	}
	t.Chdir(t.TempDir()) // no .env
	data, file := servicetest.DataFolder(t), filepath.Join(t.TempDir(), "dev.env")
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	out, errs := &testlog.Lines{}, &testlog.Lines{}
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, devAnywhere("--data", data, "--env-file", file), streams{out: out, err: errs})
	}()
	require.Eventually(t, func() bool { return strings.Contains(out.String(), devReady) || len(done) > 0 }, time.Minute, 10*time.Millisecond)
	text := out.String()
	require.Contains(t, text, devReady, errs.String())
	require.LessOrEqual(t, rows(text), 12, text)

	page := regexp.MustCompile(`^Open +(http://127\.0\.0\.1:\d+) `).FindStringSubmatch(text)
	require.NotNil(t, page, text)
	status, body := servicetest.Fetch(ctx, http.DefaultClient, page[1]+"/sign-in")
	require.Equal(t, http.StatusOK, status, body)
	database := regexp.MustCompile(`(?m)^Database +export DATABASE_URL='(\S+)'$`).FindStringSubmatch(text)
	require.NotNil(t, database, text)
	code, shown, complaint := runCommand(t, map[string]string{"DATABASE_URL": database[1]}, "status")
	require.Equal(t, exitOK, code, complaint)
	require.Regexp(t, `last delivery +2`, shown)

	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	written, err := godotenv.Read(file)
	require.NoError(t, err)
	require.Contains(t, text, "\nAPI         "+written["ROLECALL_URL"]+"\n")
	require.Contains(t, text, "\nYour app    "+file+" ")

	cancel()
	require.Equal(t, exitOK, <-done, errs.String())
	require.Contains(t, out.String(), "Stopping.\n")
	require.Empty(t, errs.String())
	requireClosed(t, text)
	require.NoFileExists(t, filepath.Join(data, "pgdata", "postmaster.pid"), "Postgres has ended")
}

// TestDev_LeavesNoProcessBehind, if it is interrupted at the keyboard.
func TestDev_LeavesNoProcessBehind(t *testing.T) {
	t.Parallel()
	pgtest.NeedsProgram(t, "pgrep")
	p := startProcess(t, map[string]string{"TMPDIR": t.TempDir()}, devAnywhere("--data", servicetest.DataFolder(t))...)
	require.Eventually(t, func() bool { return strings.Contains(p.out.String(), devReady) || !p.running() }, time.Minute, 10*time.Millisecond)
	children := childrenOf(t, p.cmd.Process.Pid)
	require.NotEmpty(t, children, p.log.String())
	all := children
	for _, child := range children {
		all = append(all, childrenOf(t, child)...)
	}
	p.signal(t, syscall.SIGINT)
	require.Equal(t, exitOK, p.exit(t, 20*time.Second), p.log.String())
	requireClosed(t, p.out.String())
	for _, pid := range all {
		require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH, "process %d", pid)
	}
	left, err := os.ReadDir(p.env["TMPDIR"])
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestDev_EndsInOrderWithoutItsReader: if its terminal is closed, and if the reader of its output
// ends before it, as tee does at Ctrl-C and Ctrl-\.
func TestDev_EndsInOrderWithoutItsReader(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			temp := t.TempDir()
			left := func() []os.DirEntry {
				entries, err := os.ReadDir(temp)
				require.NoError(t, err)
				return entries
			}
			reader, writer, err := os.Pipe()
			require.NoError(t, err)
			dev := exec.CommandContext(t.Context(), os.Args[0], devAnywhere("--data", servicetest.DataFolder(t))...)
			dev.Env = []string{asProgram + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + temp}
			dev.Stdout = writer
			require.NoError(t, dev.Start())
			require.NoError(t, writer.Close())
			lines := bufio.NewScanner(reader)
			ready := false
			for !ready && lines.Scan() {
				ready = strings.HasPrefix(lines.Text(), devReady)
			}
			require.True(t, ready)
			require.NotEmpty(t, left())
			require.NoError(t, reader.Close())
			require.NoError(t, dev.Process.Signal(signal))
			require.NoError(t, dev.Wait())
			require.Empty(t, left())
		})
	}
}

// TestDev_InterruptedAtItsStartEndsSilently, and not with what that cut, such as initdb.
func TestDev_InterruptedAtItsStartEndsSilently(t *testing.T) {
	t.Parallel()
	data := servicetest.DataFolder(t)
	p := startProcess(t, map[string]string{"TMPDIR": t.TempDir()}, devAnywhere("--data", data)...)
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(data, "pgdata.partial"))
		return err == nil || !p.running()
	}, time.Minute, time.Millisecond)
	p.signal(t, syscall.SIGINT)
	require.Equal(t, exitOK, p.exit(t, 20*time.Second))
	require.Empty(t, p.out.String())
	require.Empty(t, p.log.String())
	left, err := os.ReadDir(p.env["TMPDIR"])
	require.NoError(t, err)
	require.Empty(t, left)
}

// childrenOf returns the ids of a process's children.
func childrenOf(t *testing.T, pid int) (children []int) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "pgrep", "-P", strconv.Itoa(pid)).Output()
	if len(out) > 0 {
		require.NoError(t, err)
	}
	for field := range bytes.FieldsSeq(out) {
		children = append(children, servicetest.Atoi(t, string(field)))
	}
	return children
}

// TestDev_NamesTakenAddresses: dev refuses an unsuitable policy and a taken address at once, in
// terms of its own flags.
func TestDev_NamesTakenAddresses(t *testing.T) {
	t.Chdir(t.TempDir()) // no .env
	dir := t.TempDir()
	policy := filepath.Join(dir, "policy.yaml")
	require.NoError(t, os.WriteFile(policy, []byte("roles:\n  org:admin: [a]\n"), 0o600))
	code, out, errs := runCommand(t, map[string]string{"ROLECALL_POLICY_FILE": policy}, "dev", "--data", filepath.Join(dir, "none"))
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "ROLECALL_POLICY_FILE: dev has nothing to show by this policy")
	require.Empty(t, out, "nothing was started")

	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, taken.Close()) })
	for _, flag := range []string{"--listen", "--admin", "--playground", "--simulator"} {
		data := filepath.Join(t.TempDir(), "none")
		code, _, errs = runCommand(t, nil, devAnywhere(flag, taken.Addr().String(), "--data", data)...)
		require.Equal(t, exitError, code)
		require.NoDirExists(t, data, "nothing was started")
		require.Contains(t, errs, "address already in use: choose another address with "+flag)
		require.NotContains(t, errs, "ROLECALL_")
	}
	code, _, errs = runCommand(t, nil, "dev", "--playground", "0.0.0.0:0")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "open to other machines")
}
