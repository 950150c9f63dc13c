package servicetest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
)

// Settings returns the settings that serving needs, with a database of the test's own.
func Settings(t *testing.T, change func(*config.Config)) config.Config {
	t.Helper()
	cfg := config.Config{
		DatabaseURL: pgtest.URL(t), SigningSecrets: []string{"whsec_" + strings.Repeat("c2VjcmV0", 5)},
		Issuer: "https://clerk.callmine.test", ListenAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", MaxRemovalRatio: 0.05,
	}
	change(&cfg)
	return cfg
}

// ComparedOnce makes a database's mirror count as compared with Clerk.
func ComparedOnce(t *testing.T, databaseURL string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), databaseURL)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	_, err = conn.Exec(t.Context(), `INSERT INTO rolecall.sweeps (trigger, organization_id, dry_run, instance_id, started_at, updated_at, finished_at, state, progress, report)
		VALUES ('command', '', false, 'ins_1', now(), now(), now(), 'clean', '{}', '{}')`)
	require.NoError(t, err)
}

// Patience is what a test gives something that ends at once, however busy the machine is. It is
// below the time after which the service cuts an answer.
const Patience = 15 * time.Second

// AsksClerk lets the service ask Clerk's API without a limit, and without sweeps. Look-ups get
// time, so that a busy machine admits a new member at the first request, too.
func AsksClerk(b *Bundle, cfg *config.Config) {
	cfg.SecretKey, cfg.APIURL, cfg.ClerkRate = b.Clerk.SecretKey(), b.API, 1000
	b.Extras.LookUpTimeout = Patience
}

// HurriedLookUps gives look-ups the time that they have in production, for tests in which Clerk
// fails.
func HurriedLookUps(b *Bundle, _ *config.Config) { b.Extras.LookUpTimeout = 0 }

// Team makes a workspace with an admin and a member, and returns the messages about them.
func Team(t *testing.T, b *Bundle) (workspace, admin, member string, messages []clerksim.Message) {
	t.Helper()
	var ids [2]string
	for i := range ids {
		user, err := b.Clerk.CreateUser(clerksim.NewUser{})
		require.NoError(t, err)
		ids[i] = user.ID
	}
	organization, err := b.Clerk.CreateOrganization(clerksim.NewOrganization{CreatedBy: ids[0]})
	require.NoError(t, err)
	_, err = b.Clerk.AddMember(organization.ID, ids[1], clerksim.RoleMember)
	require.NoError(t, err)
	return organization.ID, ids[0], ids[1], b.Clerk.Drain()
}

// StartSweeping runs prepared, which sets up the simulated Clerk, and then starts a service that
// sweeps all the time.
func StartSweeping(t *testing.T, prepared func(*Bundle), changes ...func(*Bundle, *config.Config)) *Bundle {
	t.Helper()
	url := pgtest.URL(t)
	sweeps := func(b *Bundle, cfg *config.Config) {
		prepared(b)
		cfg.SweepInterval = 100 * time.Millisecond
	}
	b := Start(t, url, nil, config.Parts{Web: true, Workers: true}, append([]func(*Bundle, *config.Config){AsksClerk, sweeps}, changes...)...)
	b.Open(t, url)
	return b
}

// Eventually waits until a condition holds that nothing signals.
func Eventually(t *testing.T, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, 30*time.Second, 5*time.Millisecond, what)
}

// HangingClerk takes requests and answers none until it is released.
func HangingClerk(t *testing.T) (url string, asked *atomic.Int64) {
	t.Helper()
	release := make(chan struct{})
	asked = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() {
		close(release)
		server.Close()
	})
	return server.URL, asked
}
