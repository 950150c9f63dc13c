package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
)

// members and organizations are a small customer base, whose indexes are as deep as those of a
// larger one.
const members, organizations = 20_000, 1_000

// authorize measures GET /v1/authorize beside its floor, 100 checks in one request, and the doors
// of proxies.
func (s *suite) authorize(b *testing.B) {
	url := pgtest.DurableURL(b)
	fill(b, url)
	c := startClerk(b)
	c.withRoutes(b)
	p, floor := s.serve(b, c, url), startFloor(b, url)
	for _, callers := range callerCounts() {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) { s.authorizeOne(b, c, p.addr, floor, callers) })
	}
	b.Run("checks=100", func(b *testing.B) { s.authorizeMany(b, c, p.addr) })
	for _, callers := range callerCounts()[:2] {
		b.Run(fmt.Sprintf("doors/callers=%d", callers), func(b *testing.B) { s.doors(b, c, p.addr, callers) })
	}
}

// authorizeOne compares callers that each ask about themselves.
func (s *suite) authorizeOne(b *testing.B, c *clerk, addr, floorAddr string, callers int) {
	b.Helper()
	tokens := make([]string, callers)
	for i := range tokens {
		tokens[i] = c.token(b, userAt(i))
	}
	target := func(caller int) string {
		return "/v1/authorize?permission=members:read&workspace_id=" + organizationAt(caller)
	}
	own := newAskers(b, addr, callers, func(ctx context.Context, caller int) (*http.Request, error) {
		return withToken(ctx, target(caller), tokens[caller])
	})
	floor := newAskers(b, floorAddr, callers, func(ctx context.Context, caller int) (*http.Request, error) {
		return withToken(ctx, target(caller)+"&user_id="+userAt(caller), "")
	})
	answer, err := own[0].ask(b.Context())
	require.NoError(b, err)
	same, err := floor[0].ask(b.Context())
	require.NoError(b, err)
	require.JSONEq(b, same, answer, "the floor answers the same")
	closedLoop(b, callers, warmUp, asking(b, own))
	closedLoop(b, callers, warmUp, asking(b, floor))
	s.table.compare(b, "authorize, "+plural(callers), "requests", func() float64 {
		return perSecond(b, callers, readTime, asking(b, floor))
	}, func() float64 {
		return perSecond(b, callers, readTime, asking(b, own))
	})
}

// authorizeMany measures one caller that asks 100 checks in a request, each of another user and
// workspace.
func (s *suite) authorizeMany(b *testing.B, c *clerk, addr string) {
	b.Helper()
	var body struct {
		Checks []map[string]string `json:"checks"`
	}
	for i := range 100 {
		body.Checks = append(body.Checks, map[string]string{"user_id": userAt(i), "workspace_id": organizationAt(i), "permission": "members:read"})
	}
	text, err := json.Marshal(body)
	require.NoError(b, err)
	askers := newAskers(b, addr, 1, func(ctx context.Context, _ int) (*http.Request, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://bench/v1/authorize", bytes.NewReader(text))
		if err == nil {
			request.Header.Set("Authorization", "Bearer "+c.serviceToken)
			request.Header.Set("Content-Type", "application/json")
		}
		return request, err
	})
	s.milliseconds(b, "authorize, 100 checks in one request", asking(b, askers))
}

func userAt(i int) string         { return fmt.Sprintf("user_%d", i) }
func organizationAt(i int) string { return fmt.Sprintf("org_%d", i%organizations) }

// fill makes each user an admin of one organization, for Rolecall and for the floor.
func fill(b *testing.B, url string) {
	b.Helper()
	conn := connect(b, url)
	_, err := conn.Exec(b.Context(), floorTables)
	require.NoError(b, err)
	for _, sql := range []string{
		`INSERT INTO rolecall.organizations (id, name) SELECT 'org_' || i, 'Organization' FROM generate_series(0, $1 - 1) i WHERE $2 > 0`,
		`INSERT INTO rolecall.revisions SELECT 'org_' || i, 1, now() FROM generate_series(0, $1 - 1) i WHERE $2 > 0`,
		`INSERT INTO rolecall.users (id) SELECT 'user_' || i FROM generate_series(0, $2 - 1) i WHERE $1 > 0`,
		`INSERT INTO rolecall.memberships (id, organization_id, user_id, role, created_at)
			SELECT 'orgmem_' || i, 'org_' || i % $1, 'user_' || i, 'org:admin', now() FROM generate_series(0, $2 - 1) i`,
		`INSERT INTO public.floor_members SELECT 'org_' || i % $1, 'user_' || i, 'org:admin', 1 FROM generate_series(0, $2 - 1) i`,
	} {
		_, err := conn.Exec(b.Context(), sql, organizations, members)
		require.NoError(b, err)
	}
	_, err = conn.Exec(b.Context(), `VACUUM (ANALYZE)`)
	require.NoError(b, err)
}
