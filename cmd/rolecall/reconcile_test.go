package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/testlog"
	"github.com/callmine/rolecall/jobs/sweep"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// sweepBundle is a simulated Clerk with one workspace, a database, and the environment of a command
// that compares them.
type sweepBundle struct {
	clerk     *clerksim.World
	db        *pgxpool.Pool
	env       map[string]string
	workspace string
	users     []string // its members, the first its admin
	// spoil may answer a request in Clerk's place; it returns true if it did.
	spoil atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
}

// sweeping makes a workspace with so many members. No webhook reports them.
func sweeping(t *testing.T, members int) *sweepBundle {
	t.Helper()
	b := &sweepBundle{}
	var err error
	b.clerk, err = clerksim.New(clerksim.Config{})
	require.NoError(t, err)
	handler := b.clerk.Handler()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if spoil := b.spoil.Load(); spoil == nil || !(*spoil)(w, r) {
			handler.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	url := pgtest.URL(t)
	b.db, err = pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(b.db.Close)
	b.env = map[string]string{
		"DATABASE_URL": url, "CLERK_SECRET_KEY": b.clerk.SecretKey(), "CLERK_API_URL": server.URL + "/v1", "ROLECALL_CLERK_RATE": "10000",
	}
	for range members {
		b.user(t)
	}
	organization, err := b.clerk.CreateOrganization(clerksim.NewOrganization{Name: "North", CreatedBy: b.users[0]})
	require.NoError(t, err)
	b.workspace = organization.ID
	for _, id := range b.users[1:] {
		_, err = b.clerk.AddMember(b.workspace, id, clerksim.RoleMember)
		require.NoError(t, err)
	}
	return b
}

func (b *sweepBundle) user(t *testing.T) string {
	t.Helper()
	user, err := b.clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	b.users = append(b.users, user.ID)
	return user.ID
}

// spoiled lets a function answer in Clerk's place; nil lets Clerk answer.
func (b *sweepBundle) spoiled(f func(http.ResponseWriter, *http.Request) bool) {
	if f == nil {
		b.spoil.Store(nil)
		return
	}
	b.spoil.Store(&f)
}

// report runs a command with --json, which must end with the code, and returns the report.
func (b *sweepBundle) report(t *testing.T, want int, args ...string) (sweep.Report, string) {
	t.Helper()
	code, out, errs := runCommand(t, b.env, append(args, "--json")...)
	require.Equal(t, want, code, errs)
	decoder := json.NewDecoder(strings.NewReader(out))
	var report sweep.Report
	require.NoError(t, decoder.Decode(&report), out)
	require.ErrorIs(t, decoder.Decode(&report), io.EOF, "one JSON object, and nothing else")
	return report, errs
}

// drift is how many objects of a report differed, and how.
type drift struct{ Missing, Stale, Extra int }

func driftOf(r sweep.Report) drift { return drift{r.Missing, r.Stale, r.Extra} }

// members counts the live members in the mirror.
func (b *sweepBundle) members(t *testing.T) (n int) {
	t.Helper()
	require.NoError(t, b.db.QueryRow(t.Context(), "SELECT count(*) FROM rolecall.live_members").Scan(&n))
	return n
}

// background runs a command, and returns its stderr and its exit code.
func (b *sweepBundle) background(ctx context.Context, t *testing.T, args ...string) (*testlog.Lines, <-chan int) {
	t.Helper()
	for _, s := range (config.Config{}).Settings() {
		t.Setenv(s.Name, b.env[s.Name])
	}
	errs, code := &testlog.Lines{}, make(chan int, 1)
	go func() { code <- run(ctx, args, streams{out: io.Discard, err: errs}) }()
	return errs, code
}

//nolint:paralleltest // the environment belongs to the process
func TestReconcile_BackfillFillsTheMirror(t *testing.T) {
	b := sweeping(t, 4)
	report, errs := b.report(t, exitOK, "backfill")
	require.Equal(t, 4, report.ByKind["membership"].Missing)
	require.Equal(t, report.Missing, report.Repaired)
	require.Equal(t, b.clerk.InstanceID(), report.InstanceID)
	require.Equal(t, 4, b.members(t))
	require.Contains(t, errs, "sweep ended", "the log goes to stderr")

	code, out, errs := runCommand(t, b.env, "reconcile", "--json")
	require.Equal(t, exitOK, code, errs)
	var fields map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &fields))
	for _, name := range []string{"missing", "extra", "stale", "repaired", "removed"} {
		require.InDelta(t, 0, fields[name], 0, name)
	}
	require.Equal(t, "sweep_2", fields["sweep_id"])
	require.Equal(t, map[string]any{}, fields["by_kind"])
	require.Equal(t, false, fields["aborted"])
	require.Empty(t, fields["reason"])
	require.Positive(t, fields["calls"])
	require.Contains(t, fields, "duration_ms")

	require.NoError(t, b.clerk.RemoveMember(b.workspace, b.users[3]))
	code, out, errs = runCommand(t, b.env, "reconcile")
	require.Equal(t, exitOK, code, errs)
	require.Regexp(t, `membership +0 +0 +1\n`, out)
	require.Regexp(t, `all +0 +0 +1\n`, out)
	require.Contains(t, out, "1 repaired (0 added, 0 updated, 1 removed)")
	require.Equal(t, 3, b.members(t))
	var listed int
	require.NoError(t, b.db.QueryRow(t.Context(), "SELECT count(*) FROM rolecall.sweep_seen").Scan(&listed))
	require.Zero(t, listed, "what a sweep listed is forgotten")
}

//nolint:paralleltest // the environment belongs to the process
func TestReconcile_DryRunPrintsDriftAndChangesNothing(t *testing.T) {
	b := sweeping(t, 3)
	b.report(t, exitOK, "backfill")
	_, err := b.clerk.SetRole(b.workspace, b.users[1], clerksim.RoleAdmin)
	require.NoError(t, err)
	promoted, ok := b.clerk.Membership(b.workspace, b.users[1])
	require.True(t, ok)
	removed, ok := b.clerk.Membership(b.workspace, b.users[2])
	require.True(t, ok)
	require.NoError(t, b.clerk.RemoveMember(b.workspace, b.users[2]))
	joined := b.user(t)
	lines := []string{
		"missing user " + joined + " (undelivered)", "stale membership " + promoted.ID + " (undelivered)",
		"extra membership " + removed.ID + " (undelivered)",
	}

	code, out, errs := runCommand(t, b.env, "reconcile", "--dry-run")
	require.Equal(t, exitOK, code, errs)
	for _, line := range lines {
		require.Contains(t, out, line+"\n")
	}
	require.Contains(t, out, "nothing changed (dry run)")
	report, errs := b.report(t, exitOK, "reconcile", "--dry-run")
	require.Equal(t, drift{Missing: 1, Stale: 1, Extra: 1}, driftOf(report))
	require.Zero(t, report.Repaired)
	for _, line := range lines {
		require.Contains(t, errs, line+"\n", "stdout belongs to the report")
	}
	require.Equal(t, 3, b.members(t))
	report, _ = b.report(t, exitOK, "reconcile")
	require.Equal(t, 3, report.Repaired, "the dry runs changed nothing")
	require.Equal(t, 2, b.members(t))
}

//nolint:paralleltest // the environment belongs to the process
func TestReconcile_GuardsHaveTheirOwnExitCode(t *testing.T) {
	b := sweeping(t, 25)
	b.report(t, exitOK, "backfill")
	for _, id := range b.users[10:] {
		require.NoError(t, b.clerk.RemoveMember(b.workspace, id))
	}
	report, errs := b.report(t, exitGuard, "reconcile")
	require.True(t, report.Aborted)
	require.Equal(t, sweep.ReasonRemovalRatio, report.Reason)
	require.Contains(t, errs, "15 of 25 memberships would be removed")
	require.Contains(t, errs, "reconcile --confirm")
	require.Equal(t, 25, b.members(t))

	key := b.env["CLERK_SECRET_KEY"]
	b.env["CLERK_SECRET_KEY"] = "sk_test_of_another_instance"
	report, errs = b.report(t, exitGuard, "reconcile", "--confirm")
	require.Equal(t, sweep.ReasonUnauthorized, report.Reason)
	require.Contains(t, errs, "dashboard")
	require.NotContains(t, errs, b.env["CLERK_SECRET_KEY"])
	b.env["CLERK_SECRET_KEY"] = key

	b.env["CLERK_INSTANCE_ID"] = "ins_another"
	report, _ = b.report(t, exitGuard, "reconcile", "--confirm")
	require.Equal(t, sweep.ReasonWrongInstance, report.Reason)
	delete(b.env, "CLERK_INSTANCE_ID")
	require.Equal(t, 25, b.members(t))

	code, out, errs := runCommand(t, b.env, "reconcile")
	require.Equal(t, exitGuard, code)
	require.Regexp(t, `membership +0 +0 +15\n`, out, "the report is still printed")
	require.Contains(t, errs, "stopped (removal_ratio)")
	report, _ = b.report(t, exitOK, "reconcile", "--confirm")
	require.Equal(t, 15, report.Removed)
	require.Equal(t, 10, b.members(t))
}

//nolint:paralleltest // the environment belongs to the process
func TestReconcile_ReportsOldAnswersAndKeepsTheMirror(t *testing.T) {
	b := sweeping(t, 4)
	b.report(t, exitOK, "backfill")
	before := b.clerk.Snapshot().Handler()
	require.NoError(t, b.clerk.RemoveMember(b.workspace, b.users[1]))
	_, err := b.clerk.BanUser(b.users[2])
	require.NoError(t, err)
	b.apply(t, b.clerk.Drain())
	b.spoil.Store(new(func(w http.ResponseWriter, r *http.Request) bool { before.ServeHTTP(w, r); return true }))
	b.settle(t)
	report, errs := b.report(t, exitGuard, "reconcile")
	require.Equal(t, sweep.ReasonReadsBehind, report.Reason)
	require.Equal(t, 2, report.Behind)
	require.Zero(t, report.Repaired)
	require.Contains(t, errs, "--trust-clerk")
	require.Equal(t, 2, b.members(t))

	code, out, _ := runCommand(t, b.env, "status")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "ALARM reads_behind")
	report, _ = b.report(t, exitGuard, "reconcile", "--trust-clerk")
	require.Equal(t, 1, report.Updated, "the ban, on the operator's word")
	require.Equal(t, 1, report.Behind, "the signed deletion stays")
	require.Equal(t, 3, b.members(t))

	b.spoil.Store(nil)
	report, _ = b.report(t, exitOK, "reconcile")
	require.Zero(t, report.Behind)
	require.Equal(t, 2, b.members(t))
	_, out, _ = runCommand(t, b.env, "status")
	require.NotContains(t, out, "ALARM reads_behind")
}

// apply applies messages of Clerk to the mirror, as workers do.
func (b *sweepBundle) apply(t *testing.T, messages []clerksim.Message) {
	t.Helper()
	for _, m := range messages {
		db := &mirrortest.DB{Pool: b.db}
		db.Deliver(t, clerksync.NewDelivery(m.ID, m.Body, m.OccurredAt, time.Now()))
	}
}

// settle makes the mirror's objects older than the time that a sweep waits for.
func (b *sweepBundle) settle(t *testing.T) {
	t.Helper()
	for _, table := range []string{"users", "memberships"} {
		_, err := b.db.Exec(t.Context(), "UPDATE rolecall."+table+
			" SET changed_at = changed_at - interval '1 minute', deleted_received_at = deleted_received_at - interval '1 minute'")
		require.NoError(t, err)
	}
}

//nolint:paralleltest // the environment belongs to the process
func TestReconcile_FailsOrStopsWhenClerkIsAway(t *testing.T) {
	b := sweeping(t, 2)
	b.spoiled(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/organization_memberships") {
			http.Error(w, "out of order", http.StatusBadGateway)
			return true
		}
		return false
	})
	report, errs := b.report(t, exitGuard, "backfill")
	require.Equal(t, sweep.ReasonListingIncomplete, report.Reason, "Clerk interrupted it")
	require.Contains(t, errs, "clerk is unavailable")
	b.spoiled(nil)
	again, _ := b.report(t, exitOK, "backfill")
	require.Equal(t, report.SweepID, again.SweepID, "it was resumed")
	require.False(t, again.Aborted)

	b.env["CLERK_API_URL"] = "http://127.0.0.1:1/v1"
	report, errs = b.report(t, exitGuard, "reconcile")
	require.Contains(t, errs, "clerk is unavailable")
	require.Equal(t, sweep.ReasonListingIncomplete, report.Reason)
	require.Empty(t, report.SweepID, "no sweep began")
}

//nolint:paralleltest // the environment belongs to the process
func TestReconcile_WaitsForARunningSweep(t *testing.T) {
	b := sweeping(t, 2)
	other, err := b.db.Acquire(t.Context())
	require.NoError(t, err)
	t.Cleanup(other.Release)
	locked, err := store.TryLockSweeps(t.Context(), other)
	require.NoError(t, err)
	require.True(t, locked)
	const waits = "another sweep is running"

	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	errs, code := b.background(ctx, t, "backfill")
	require.Eventually(t, func() bool { return strings.Contains(errs.String(), waits) }, 20*time.Second, 5*time.Millisecond)
	cancel()
	require.Equal(t, exitError, <-code)
	require.Contains(t, errs.String(), "interrupted before the sweep began")

	errs, code = b.background(t.Context(), t, "backfill")
	require.Eventually(t, func() bool { return strings.Contains(errs.String(), waits) }, 20*time.Second, 5*time.Millisecond)
	require.Zero(t, b.members(t))
	require.NoError(t, store.UnlockSweeps(t.Context(), other))
	require.Equal(t, exitOK, <-code, errs.String())
	require.Equal(t, 1, strings.Count(errs.String(), waits), "said once")
	require.Equal(t, 2, b.members(t))
}

//nolint:paralleltest // the environment belongs to the process
func TestReconcile_ResumesAnInterruptedSweep(t *testing.T) {
	b := sweeping(t, 2)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	b.spoiled(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/organization_memberships") {
			cancel()
			<-r.Context().Done()
			return true
		}
		return false
	})
	errs, code := b.background(ctx, t, "backfill")
	require.Equal(t, exitError, <-code)
	require.Contains(t, errs.String(), "resumes where this one stopped")
	b.spoiled(nil)
	report, _ := b.report(t, exitOK, "reconcile")
	require.Equal(t, "sweep_1", report.SweepID)
	require.Equal(t, 2, b.members(t))

	cut := &reconcileCommand{DryRun: true}
	require.Contains(t, cut.interruption(report), "starts over")
}

//nolint:paralleltest // the environment belongs to the process
func TestReconcile_SweepsOneOrganization(t *testing.T) {
	b := sweeping(t, 2)
	other, err := b.clerk.CreateOrganization(clerksim.NewOrganization{Name: "South", CreatedBy: b.user(t)})
	require.NoError(t, err)
	b.spoiled(func(_ http.ResponseWriter, r *http.Request) bool { // the simulator lists the users of all organizations
		query := r.URL.Query()
		if strings.HasPrefix(r.URL.Path, "/v1/users") {
			query.Del("organization_id")
		}
		r.URL.RawQuery = query.Encode()
		return false
	})
	report, _ := b.report(t, exitOK, "backfill", "--organization", other.ID)
	require.Equal(t, other.ID, report.OrganizationID)
	require.Equal(t, 1, report.ByKind["organization"].Missing)
	require.Equal(t, 1, b.members(t), "the other one is unknown")
}

//nolint:paralleltest // the environment belongs to the process
func TestReconcile_NamesMissingSettings(t *testing.T) {
	for _, command := range []string{"backfill", "reconcile"} {
		code, _, errs := runCommand(t, map[string]string{"ROLECALL_MAX_REMOVAL_RATIO": "7"}, command)
		require.Equal(t, exitError, code)
		require.Contains(t, errs, "CLERK_SECRET_KEY is missing")
		require.Contains(t, errs, "ROLECALL_MAX_REMOVAL_RATIO")
		code, _, errs = runCommand(t, map[string]string{"CLERK_SECRET_KEY": "sk_test_1"}, command)
		require.Equal(t, exitError, code)
		require.Contains(t, errs, "DATABASE_URL is missing")
		code, _, errs = runCommand(t, nil, command, "--organization", "north")
		require.Equal(t, exitError, code)
		require.Contains(t, errs, "org_")
	}
	code, _, errs := runCommand(t, map[string]string{"CLERK_SECRET_KEY": "sk_test_1", "DATABASE_URL": pgtest.EmptyURL(t)}, "reconcile")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "rolecall migrate")
	_, out, _ := runCommand(t, nil, "--help")
	require.Contains(t, out, "first reconcile")
}

func TestReconcile_ExitCodes(t *testing.T) {
	t.Parallel()
	require.Equal(t, exitOK, exitCode(nil))
	require.Equal(t, exitError, exitCode(context.Canceled), "it was interrupted")
	require.Equal(t, exitError, exitCode(io.EOF))
	require.Equal(t, exitGuard, exitCode(&codedError{exitGuard, context.Canceled}))
}
