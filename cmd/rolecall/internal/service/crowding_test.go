package service_test

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
)

// unmeasured is how long a decision may take on a busy machine, whatever the others do.
const unmeasured = 4 * time.Millisecond

// TestCrowding_ExpensiveReadsDelayNoDecision: a member of the largest workspace repeats its most
// expensive read over many connections. The decisions of others take at most twice as long.
//
//nolint:paralleltest // it measures
func TestCrowding_ExpensiveReadsDelayNoDecision(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	url := pgtest.URL(t)
	b := servicetest.Start(t, url, nil, config.Parts{Web: true})
	b.Open(t, url)
	for _, sql := range []string{
		`INSERT INTO rolecall.memberships (id, organization_id, user_id, role, created_at)
			SELECT 'orgmem_' || i, CASE i WHEN 0 THEN 'org_small' ELSE 'org_large' END, 'user_' || i, 'org:admin', now() FROM generate_series(0, 50000) i`,
		`INSERT INTO rolecall.audit_log (organization_id, action, target, at, cause)
			SELECT 'org_large', 'member.joined', 'user_' || i, now(), 'svix:msg_' || i FROM generate_series(1, 20000) i`,
		`ANALYZE`,
	} {
		_, err := b.DB.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	asker, crowd := b.Token(t, "user_0"), b.Token(t, "user_1")
	p99 := func() time.Duration {
		took := make([]time.Duration, 1500)
		for i := range took {
			began := time.Now()
			require.Equal(t, http.StatusOK, b.May(t, asker, "org_small", "members:read"))
			took[i] = time.Since(began)
		}
		slices.Sort(took)
		return took[len(took)*99/100]
	}
	p99() // connections and plans
	alone := p99()
	ctx, end := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range 48 {
		group.Go(func() {
			for ctx.Err() == nil {
				// The filter fits no entry, so that Postgres reads all.
				request := b.Request(t, http.MethodGet, "/v1/workspaces/org_large/audit?limit=200&action=none", "").WithContext(ctx)
				request.Header.Set("Authorization", "Bearer "+crowd)
				if response, err := b.Client.Do(request); err == nil {
					_ = response.Body.Close()
				}
			}
		})
	}
	crowded := p99()
	end()
	group.Wait()
	t.Logf("p99 alone %s, crowded %s", alone, crowded)
	require.LessOrEqual(t, crowded, 2*max(alone, unmeasured))
}
