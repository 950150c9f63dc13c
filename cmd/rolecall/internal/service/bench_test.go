package service_test

import (
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/jobs"
	clerksync "github.com/callmine/rolecall/sync"
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

// BenchmarkRemovalBehindABacklog measures how long after a removal's 200 the API enforces it while
// 20,000 ordinary deliveries wait and are being worked. It reports the median and the worst of
// several removals in milliseconds.
func BenchmarkRemovalBehindABacklog(b *testing.B) {
	const backlog, organizations, removals = 20_000, 200, 20
	s := servicetest.Start(b, pgtest.DurableURL(b), nil, config.Parts{Web: true})
	s.Open(b, s.Config.DatabaseURL)
	var took []time.Duration
	for b.Loop() {
		workspace, people := crowd(b, s, removals)
		pile(b, s, backlog, organizations)
		workers, err := service.Start(b.Context(), s.Config, config.Parts{Workers: true}, s.Logger)
		require.NoError(b, err)
		asking := time.NewTicker(500 * time.Microsecond)
		for _, person := range people {
			require.Eventually(b, func() bool {
				return s.May(b, person.token, workspace, "reports:read") == http.StatusOK
			}, time.Minute, time.Millisecond)
			require.NoError(b, s.Clerk.RemoveMember(workspace, person.id))
			_, err := s.Courier.Send(b.Context(), s.Clerk.Drain()[0])
			require.NoError(b, err)
			acknowledged := time.Now()
			for s.May(b, person.token, workspace, "reports:read") != http.StatusNotFound {
				<-asking.C
			}
			took = append(took, time.Since(acknowledged))
		}
		asking.Stop()
		var waiting int
		require.NoError(b, s.DB.QueryRow(b.Context(), "SELECT count(*) FROM rolecall.deliveries WHERE state = 'received'").Scan(&waiting))
		b.ReportMetric(float64(waiting), "still-waiting")
		drained(b, s)
		require.NoError(b, workers.Stop(b.Context()))
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2].Seconds()*1000, "p50-ms")
	b.ReportMetric(took[len(took)-1].Seconds()*1000, "max-ms")
	b.ReportMetric(0, "ns/op")
}

// crowd makes a workspace with members, and brings them into the mirror.
func crowd(b *testing.B, s *servicetest.Bundle, n int) (workspace string, people []person) {
	b.Helper()
	admin, err := s.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(b, err)
	organization, err := s.Clerk.CreateOrganization(clerksim.NewOrganization{CreatedBy: admin.ID})
	require.NoError(b, err)
	for range n {
		user, err := s.Clerk.CreateUser(clerksim.NewUser{})
		require.NoError(b, err)
		_, err = s.Clerk.AddMember(organization.ID, user.ID, clerksim.RoleMember)
		require.NoError(b, err)
		people = append(people, person{id: user.ID, token: s.Token(b, user.ID)})
	}
	workers, err := service.Start(b.Context(), s.Config, config.Parts{Workers: true}, s.Logger)
	require.NoError(b, err)
	s.Send(b, s.Clerk.Drain()...)
	require.NoError(b, workers.Stop(b.Context()))
	return organization.ID, people
}

// pile accepts ordinary deliveries. No worker runs yet.
func pile(b *testing.B, s *servicetest.Bundle, n, organizations int) {
	b.Helper()
	var ids []string
	for range organizations {
		organization, err := s.Clerk.CreateOrganization(clerksim.NewOrganization{})
		require.NoError(b, err)
		ids = append(ids, organization.ID)
	}
	for i := range n - organizations {
		name := "Organization " + strconv.Itoa(i)
		_, err := s.Clerk.UpdateOrganization(ids[i%organizations], clerksim.OrganizationUpdate{Name: &name})
		require.NoError(b, err)
	}
	inbox, err := jobs.NewInbox(jobs.InboxConfig{Pool: s.Service.Pools().Accept, Logger: s.Logger})
	require.NoError(b, err)
	var callers errgroup.Group
	callers.SetLimit(64)
	for _, m := range s.Clerk.Drain() {
		callers.Go(func() error {
			_, err := inbox.Accept(b.Context(), clerksync.NewDelivery(m.ID, m.Body, m.OccurredAt, time.Now()))
			return err
		})
	}
	require.NoError(b, callers.Wait())
	inbox.Stop()
}

// drained waits until a backlog is gone, however long that takes.
func drained(b *testing.B, s *servicetest.Bundle) {
	b.Helper()
	require.Eventually(b, func() bool {
		var waiting bool
		err := s.DB.QueryRow(b.Context(), "SELECT EXISTS (SELECT FROM rolecall.deliveries WHERE state = 'received')").Scan(&waiting)
		return err == nil && !waiting
	}, 5*time.Minute, 10*time.Millisecond)
}
