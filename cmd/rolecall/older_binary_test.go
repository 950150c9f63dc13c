package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/svixsim"
)

// olderReleases are commits by the newest schema that they knew. Their binaries may still run while
// newer ones start.
func olderReleases() map[string]string {
	return map[string]string{
		"schema 00013": "03fb23c85cba85456e66573569138febb7756856",
		"schema 00020": "340caf3cbfe6fdaf01ffd0d8a8a1f865594a49af",
	}
}

// commitBefore returns the commit before the one that added a file; "" if the history doesn't go
// back to it.
func commitBefore(t *testing.T, file string) string {
	t.Helper()
	out, err := gitHere(t, "log", "--diff-filter=A", "--format=%P", "-1", "--", file)
	if err != nil { // there is no history at all
		return ""
	}
	return strings.TrimSpace(string(out))
}

func gitHere(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	return exec.CommandContext(t.Context(), "git", append([]string{"-C", "../.."}, args...)...).CombinedOutput()
}

// olderBinary builds the program of a release. Without the git history, as in a shallow clone,
// the test is skipped. Package migrations still tests the same release's statements against the
// schema.
func olderBinary(t *testing.T, olderRelease string) string {
	t.Helper()
	git := func(args ...string) ([]byte, error) { return gitHere(t, args...) }
	if out, err := git("cat-file", "-e", olderRelease+"^{commit}"); err != nil {
		t.Skipf("the history doesn't go back to %s: %s", olderRelease, out) //nolint:forbidigo // see above
	}
	dir := t.TempDir()
	archive := filepath.Join(dir, "source.tar")
	out, err := git("archive", "-o", archive, olderRelease)
	require.NoError(t, err, string(out))
	out, err = exec.CommandContext(t.Context(), "tar", "-xf", archive, "-C", dir).CombinedOutput()
	require.NoError(t, err, string(out))
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-trimpath", "-o", "older", "./cmd/rolecall")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	out, err = build.CombinedOutput()
	require.NoError(t, err, string(out))
	return filepath.Join(dir, "older")
}

// TestRollingRestart_OldAndNewBinarySideBySide on one mirror, as in an upgrade: both enforce what
// either receives.
func TestRollingRestart_OldAndNewBinarySideBySide(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	for name, release := range olderReleases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sideBySide(t, olderBinary(t, release))
		})
	}
}

func sideBySide(t *testing.T, older string) {
	t.Helper()
	database := pgtest.URL(t)
	b := servicetest.Start(t, database, nil, config.Parts{Web: true, Workers: true})
	b.Open(t, database)
	cfg := b.Config
	require.NoError(t, b.Service.Stop(t.Context()))
	workspace, admin, _, messages := servicetest.Team(t, b)
	binaries := map[string]*process{}
	for name, path := range map[string]string{"old": older, "new": os.Args[0]} {
		env := servingEnv(t, database)
		env["CLERK_WEBHOOK_SIGNING_SECRET"], env["CLERK_ISSUER"], env["CLERK_JWKS_URL"] = b.Secret, cfg.Issuer, cfg.JWKSURL
		env["CLERK_SECRET_KEY"], env["CLERK_API_URL"], env["ROLECALL_CLERK_RATE"] = b.Clerk.SecretKey(), b.API, "1000"
		binaries[name] = startBinary(t, path, env, "serve")
	}
	couriers := map[string]*svixsim.Courier{}
	for name, p := range binaries {
		p.untilReady(t) // both sweep, one after the other
		var err error
		endpoint := svixsim.Endpoint{URL: "http://" + p.env["ROLECALL_LISTEN_ADDR"] + "/webhooks/clerk", Secrets: []string{b.Secret}}
		couriers[name], err = svixsim.NewCourier(svixsim.CourierConfig{Endpoints: []svixsim.Endpoint{endpoint}})
		require.NoError(t, err)
		t.Cleanup(couriers[name].Close)
	}
	tell := func(to string, messages []clerksim.Message) {
		b.Courier = couriers[to]
		b.Send(t, messages...)
	}
	both := func(want int, token, permission string) {
		t.Helper()
		for name, p := range binaries {
			status, _ := b.Get(t, "http://"+p.env["ROLECALL_LISTEN_ADDR"]+"/v1/authorize?workspace_id="+workspace+"&permission="+permission, token)
			require.Equal(t, want, status, name)
		}
	}
	tell("old", messages)
	for _, order := range [][2]string{{"old", "new"}, {"new", "old"}, {"old", "old"}, {"new", "new"}} {
		user, err := b.Clerk.CreateUser(clerksim.NewUser{})
		require.NoError(t, err)
		_, err = b.Clerk.AddMember(workspace, user.ID, clerksim.RoleAdmin)
		require.NoError(t, err)
		tell(order[0], b.Clerk.Drain())
		token := b.Token(t, user.ID)
		both(http.StatusOK, token, "billing:manage")
		_, err = b.Clerk.SetRole(workspace, user.ID, clerksim.RoleMember)
		require.NoError(t, err)
		tell(order[1], b.Clerk.Drain())
		both(http.StatusForbidden, token, "billing:manage")
		require.NoError(t, b.Clerk.RemoveMember(workspace, user.ID))
		tell(order[0], b.Clerk.Drain())
		both(http.StatusNotFound, token, "reports:read")
		_, err = b.Clerk.AddMember(workspace, user.ID, clerksim.RoleMember)
		require.NoError(t, err)
		tell(order[1], b.Clerk.Drain())
		both(http.StatusOK, token, "reports:read")
		_, err = b.Clerk.BanUser(user.ID)
		require.NoError(t, err)
		tell(order[0], b.Clerk.Drain())
		requireCounted(t, database)
	}
	both(http.StatusOK, b.Token(t, admin), "billing:manage")
	verify := startProcess(t, map[string]string{"DATABASE_URL": database}, "audit", "verify")
	require.Equal(t, exitOK, verify.exit(t, time.Minute), "the log that both wrote is whole: %s", &verify.out)
}

// requireCounted requires that the stored facts about memberships are what the rows say, whichever
// binary wrote these.
func requireCounted(t *testing.T, database string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	var wrong, counted int
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE c.members IS DISTINCT FROM o.members), sum(o.members)
		FROM (
			SELECT m.organization_id, count(DISTINCT m.user_id) FILTER (WHERE m.deleted_at IS NULL AND u.deleted_at IS NULL AND u.banned IS NOT TRUE)
			FROM rolecall.memberships m LEFT JOIN rolecall.users u ON u.id = m.user_id GROUP BY m.organization_id
		) o (id, members)
		FULL JOIN rolecall.member_counts c ON c.organization_id = o.id`).Scan(&wrong, &counted))
	require.Zero(t, wrong)
	require.Positive(t, counted)
}
