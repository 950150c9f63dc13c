package bench_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
)

const (
	// changes are enough for a 99th percentile that isn't the slowest change.
	changes = 300
	// changeEvery leaves the program idle between two changes.
	changeEvery = 20 * time.Millisecond
	// askEvery is how exactly the end is seen. Asking without a pause would take a core from the
	// program.
	askEvery = 500 * time.Microsecond
)

// enforced measures how long after a delivery's 200 the API answers by it, with one change at a
// time.
func (s *suite) enforced(b *testing.B) {
	url := pgtest.DurableURL(b)
	db := connect(b, url)
	c := startClerk(b)
	p := s.serve(b, c, url)
	sender := newSenders(b, c, p.addr, 1)[0]
	user, err := c.CreateUser(clerksim.NewUser{})
	require.NoError(b, err)
	admin, err := c.CreateUser(clerksim.NewUser{}) // Clerk keeps the last one in the role
	require.NoError(b, err)
	organization, err := c.CreateOrganization(clerksim.NewOrganization{CreatedBy: admin.ID})
	require.NoError(b, err)
	_, err = c.AddMember(organization.ID, user.ID, clerksim.RoleMember)
	require.NoError(b, err)
	for _, m := range c.Drain() {
		require.NoError(b, sender.send(b.Context(), m))
	}
	untilApplied(b, db)
	token := c.token(b, user.ID)
	caller := newAskers(b, p.addr, 1, func(ctx context.Context, _ int) (*http.Request, error) {
		return withToken(ctx, "/v1/authorize?permission=billing:manage&workspace_id="+organization.ID, token)
	})[0]
	wanted := map[string]int{clerksim.RoleAdmin: http.StatusOK, clerksim.RoleMember: http.StatusForbidden}
	every, pause := time.NewTicker(changeEvery), time.NewTicker(askEvery)
	defer every.Stop()
	defer pause.Stop()
	var took []float64
	for b.Loop() {
		for i := range changes {
			role := []string{clerksim.RoleAdmin, clerksim.RoleMember}[i%2]
			_, err := c.SetRole(organization.ID, user.ID, role)
			require.NoError(b, err)
			message := c.Drain()[0]
			<-every.C
			require.NoError(b, sender.send(b.Context(), message))
			acknowledged := time.Now()
			for {
				status, text, err := caller.try(b.Context())
				require.NoError(b, err)
				if status == wanted[role] {
					break
				}
				require.Less(b, time.Since(acknowledged), 10*time.Second, text)
				<-pause.C
			}
			took = append(took, time.Since(acknowledged).Seconds()*1000)
		}
	}
	p50, p99 := quantile(took, 0.5), quantile(took, 0.99)
	b.ReportMetric(p50, "p50-ms")
	b.ReportMetric(p99, "p99-ms")
	b.ReportMetric(0, "ns/op")
	s.table.add("accepted → enforced, idle", "–", fmt.Sprintf("p50 %.1f ms, p99 %.1f ms", p50, p99), "–")
}
