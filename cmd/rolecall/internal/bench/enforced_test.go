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
	c := startClerk(b)
	team := newTeam(b, c)
	t := s.tell(b, c, team, url)
	every := time.NewTicker(changeEvery)
	defer every.Stop()
	var took []float64
	for b.Loop() {
		for range changes {
			<-every.C
			took = append(took, t.change(b).Seconds()*1000)
		}
	}
	p50, p99 := quantile(took, 0.5), quantile(took, 0.99)
	b.ReportMetric(p50, "p50-ms")
	b.ReportMetric(p99, "p99-ms")
	b.ReportMetric(0, "ns/op")
	s.table.add("accepted → enforced, idle", "–", fmt.Sprintf("p50 %.1f ms, p99 %.1f ms", p50, p99), "–")
}

// team is a workspace at Clerk with a user whose role changes.
type team struct {
	organization, user string
	messages           []clerksim.Message // that made it
}

func newTeam(b *testing.B, c *clerk) *team {
	b.Helper()
	user, err := c.CreateUser(clerksim.NewUser{})
	require.NoError(b, err)
	admin, err := c.CreateUser(clerksim.NewUser{}) // Clerk keeps the last one in the role
	require.NoError(b, err)
	organization, err := c.CreateOrganization(clerksim.NewOrganization{CreatedBy: admin.ID})
	require.NoError(b, err)
	_, err = c.AddMember(organization.ID, user.ID, clerksim.RoleMember)
	require.NoError(b, err)
	return &team{organization: organization.ID, user: user.ID, messages: c.Drain()}
}

// told is a program that knows a team.
type told struct {
	program *program
	clerk   *clerk
	team    *team
	sender  sender
	caller  asker // the user, who asks for an admin's permission
	admin   bool
}

// tell starts a program, and tells it of a team.
func (s *suite) tell(b *testing.B, c *clerk, of *team, url string) *told {
	b.Helper()
	t := &told{program: s.serve(b, c, url), clerk: c, team: of}
	t.sender = newSenders(b, c, t.program.addr, 1)[0]
	for _, m := range of.messages {
		require.NoError(b, t.sender.send(b.Context(), m))
	}
	untilApplied(b, connect(b, url))
	token := c.token(b, of.user)
	t.caller = newAskers(b, t.program.addr, 1, func(ctx context.Context, _ int) (*http.Request, error) {
		return withToken(ctx, "/v1/authorize?permission=billing:manage&workspace_id="+of.organization, token)
	})[0]
	return t
}

// change gives the user the other role, and returns how long after the delivery's 200 the program
// answers by it.
func (t *told) change(b *testing.B) time.Duration {
	b.Helper()
	t.admin = !t.admin
	role, want := clerksim.RoleMember, http.StatusForbidden
	if t.admin {
		role, want = clerksim.RoleAdmin, http.StatusOK
	}
	_, err := t.clerk.SetRole(t.team.organization, t.team.user, role)
	require.NoError(b, err)
	require.NoError(b, t.sender.send(b.Context(), t.clerk.Drain()[0]))
	acknowledged, pause := time.Now(), time.NewTicker(askEvery)
	defer pause.Stop()
	for ; ; <-pause.C {
		status, text, err := t.caller.try(b.Context())
		require.NoError(b, err)
		if status == want {
			return time.Since(acknowledged)
		}
		require.Less(b, time.Since(acknowledged), 10*time.Second, text)
	}
}
