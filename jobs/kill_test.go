package jobs

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	clerksync "github.com/callmine/rolecall/sync"
)

// childEnv makes the test binary a process that is to be killed: it names the database to work on.
const childEnv = "ROLECALL_JOBS_TEST_CHILD"

// runChild accepts one delivery and applies it, until it is killed.
func runChild(url string) int {
	if err := acceptAndWork(context.Background(), url); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	select {}
}

func acceptAndWork(ctx context.Context, url string) error {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return err
	}
	cfg.ConnConfig.Tracer = stuck{}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return err
	}
	in, err := NewInbox(InboxConfig{Pool: pool, InstanceID: func() string { return mirrortest.InstanceID }, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	body := `{"type":"organizationMembership.created","timestamp":1790000000000,"data":{"id":"orgmem_1","role":"org:member",
		"organization":{"id":"org_1"},"public_user_data":{"user_id":"user_1"}}}`
	if _, err := in.Accept(ctx, clerksync.NewDelivery("msg_1", []byte(body), time.Now(), time.Now())); err != nil {
		return err
	}
	w, err := NewWorkers(WorkersConfig{Pool: pool, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	return w.Start(ctx)
}

// stuck is a tracer that says so and goes no further once a transaction reads the mirror.
type stuck struct{ panicking }

func (stuck) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	for _, q := range data.Batch.QueuedQueries {
		if strings.Contains(q.SQL, "ReadUsers") {
			_, _ = fmt.Fprintln(os.Stdout, "applying")
			select {}
		}
	}
	return ctx
}

// TestWorkers_KilledProcessLosesNothing kills a process with -9 while it applies a delivery that it
// acknowledged. Another process applies the delivery within twenty seconds, and only once.
func TestWorkers_KilledProcessLosesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+b.URL)
	child.Stderr = os.Stderr
	says, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	line, err := bufio.NewReader(says).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "applying\n", line)
	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait(), "it was killed")
	require.Equal(t, "received", b.Ledger(t, "msg_1").State)
	require.Equal(t, "running", b.jobs(t)[0].State, "the queue doesn't know")

	began := time.Now()
	b.work(t)
	b.UntilState(t, "msg_1", clerksync.StateApplied)
	require.Less(t, time.Since(began), 20*time.Second)
	require.Contains(t, b.Mirror(t).Memberships, "orgmem_1")
	require.Equal(t, 1, b.Count(t, "SELECT revision FROM rolecall.revisions WHERE organization_id = 'org_1'"))
}
