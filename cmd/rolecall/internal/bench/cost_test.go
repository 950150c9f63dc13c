package bench_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// tick is the unit of processor time under /proc: Linux fixes it for programs.
const tick = time.Second / 100

// cost reads from /proc what the program and its Postgres use. Where there is no /proc, it
// measures nothing.
type cost struct {
	program, postmaster int // process ids; 0: not measured
}

func newCost(b *testing.B, p *program, db *pgx.Conn) cost {
	b.Helper()
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return cost{}
	}
	var folder string
	require.NoError(b, db.QueryRow(b.Context(), `SELECT current_setting('data_directory')`).Scan(&folder))
	text, err := os.ReadFile(filepath.Join(folder, "postmaster.pid"))
	require.NoError(b, err)
	line, _, _ := strings.Cut(string(text), "\n")
	postmaster, err := strconv.Atoi(line)
	require.NoError(b, err)
	return cost{program: p.cmd.Process.Pid, postmaster: postmaster}
}

// used is processor time, of user and system.
type used struct{ program, postgres time.Duration }

func (u used) minus(before used) used {
	return used{u.program - before.program, u.postgres - before.postgres}
}

func (u used) plus(more used) used {
	return used{u.program + more.program, u.postgres + more.postgres}
}

// each says what one of n deliveries took.
func (u used) each(n int) string {
	micros := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(max(n, 1)) }
	return fmt.Sprintf("%.0f µs: program %.0f, Postgres %.0f", micros(u.program+u.postgres), micros(u.program), micros(u.postgres))
}

// processorTime returns what was used since the processes began. A session of Postgres that has
// ended counts for the postmaster.
func (c cost) processorTime(b *testing.B) (u used) {
	b.Helper()
	if c.program == 0 {
		return u
	}
	_, u.program = processor(b, strconv.Itoa(c.program))
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(b, err)
	for _, path := range stats {
		pid := filepath.Base(filepath.Dir(path))
		if parent, took := processor(b, pid); parent == c.postmaster || pid == strconv.Itoa(c.postmaster) {
			u.postgres += took
		}
	}
	return u
}

// processor returns a process' parent, and the processor time of the process and of its children
// that have ended; nothing if it has ended itself.
func processor(b *testing.B, pid string) (parent int, used time.Duration) {
	b.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return 0, 0
	}
	_, afterName, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(afterName)
	const first, ppid, utime, cstime = 3, 4, 14, 17 // numbers of fields in proc(5); first follows the name
	parent, err = strconv.Atoi(fields[ppid-first])
	require.NoError(b, err)
	for _, field := range fields[utime-first : cstime-first+1] {
		n, err := strconv.Atoi(field)
		require.NoError(b, err)
		used += time.Duration(n) * tick
	}
	return parent, used
}

// memory returns how much memory the program has now, and had at most, such as "40 MB".
func (c cost) memory(b *testing.B) (now, most string) {
	b.Helper()
	if c.program == 0 {
		return "?", "?"
	}
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(c.program), "status"))
	require.NoError(b, err)
	megabytes := func(field string) string {
		_, rest, _ := strings.Cut(string(text), field+":")
		kilobytes, err := strconv.Atoi(strings.Fields(rest)[0])
		require.NoError(b, err)
		return fmt.Sprintf("%.0f MB", float64(kilobytes)/1024)
	}
	return megabytes("VmRSS"), megabytes("VmHWM")
}
