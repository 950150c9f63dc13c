package service_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
)

// BenchmarkAcceptedToEnforced measures how long after a delivery's 200 the API enforces it, over
// HTTP, on a durable Postgres, with one change every 20 ms. It reports percentiles in milliseconds.
func BenchmarkAcceptedToEnforced(b *testing.B) {
	const changes, pause = 500, 20 * time.Millisecond
	s := servicetest.Start(b, pgtest.DurableURL(b), nil, config.Parts{Web: true, Workers: true})
	s.Open(b, s.Config.DatabaseURL)
	admin, err := s.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(b, err)
	member, err := s.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(b, err)
	organization, err := s.Clerk.CreateOrganization(clerksim.NewOrganization{CreatedBy: admin.ID})
	require.NoError(b, err)
	_, err = s.Clerk.AddMember(organization.ID, member.ID, clerksim.RoleMember)
	require.NoError(b, err)
	s.Send(b, s.Clerk.Drain()...)
	token := s.Token(b, member.ID)

	var took []time.Duration
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	asking := time.NewTicker(500 * time.Microsecond) // asking without a pause would take a core from the service
	defer asking.Stop()
	for b.Loop() {
		for i := range changes {
			role, want := clerksim.RoleAdmin, http.StatusOK
			if i%2 == 1 {
				role, want = clerksim.RoleMember, http.StatusForbidden
			}
			_, err := s.Clerk.SetRole(organization.ID, member.ID, role)
			require.NoError(b, err)
			message := s.Clerk.Drain()[0]
			<-ticker.C
			_, err = s.Courier.Send(b.Context(), message)
			require.NoError(b, err)
			acknowledged := time.Now()
			for s.May(b, token, organization.ID, "billing:manage") != want {
				require.Less(b, time.Since(acknowledged), 10*time.Second)
				<-asking.C
			}
			took = append(took, time.Since(acknowledged))
		}
	}
	slices.Sort(took)
	report := func(quantile float64, name string) {
		b.ReportMetric(took[int(quantile*float64(len(took)-1))].Seconds()*1000, name)
	}
	report(0.5, "p50-ms")
	report(0.99, "p99-ms")
	b.ReportMetric(0, "ns/op")
}
