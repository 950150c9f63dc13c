package bench_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/svixsim"
)

// joins makes Clerk's messages that a new user is a member of a new organization. It is cheap,
// because it shares the machine with what is measured: it puts new ids into one message.
type joins struct {
	message                        clerksim.Message
	organization, user, membership string // ids in the message
	made                           atomic.Int64
}

func newJoins(b *testing.B, c *clerk) *joins {
	b.Helper()
	user, err := c.CreateUser(clerksim.NewUser{})
	require.NoError(b, err)
	organization, err := c.CreateOrganization(clerksim.NewOrganization{})
	require.NoError(b, err)
	membership, err := c.AddMember(organization.ID, user.ID, clerksim.RoleMember)
	require.NoError(b, err)
	messages := c.Drain()
	j := &joins{message: messages[len(messages)-1], organization: organization.ID, user: user.ID, membership: membership.ID}
	require.Equal(b, "organizationMembership.created", j.message.Type)
	return j
}

// next makes a message. Its ids ascend, as those of Clerk do from second to second.
func (j *joins) next() clerksim.Message {
	n := j.made.Add(1)
	id := func(prefix string) string { return fmt.Sprintf("%s3%026d", prefix, n) }
	m := j.message
	m.ID, m.ObjectID = id("msg_"), id("orgmem_")
	m.Body = []byte(strings.NewReplacer(j.organization, id("org_"), j.user, id("user_"), j.membership, m.ObjectID).Replace(string(m.Body)))
	return m
}

// newCourier returns what signs and sends messages to the program, over a connection for each
// caller.
func newCourier(b *testing.B, c *clerk, addr string, callers int) *svixsim.Courier {
	b.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: callers}
	b.Cleanup(transport.CloseIdleConnections)
	courier, err := svixsim.NewCourier(svixsim.CourierConfig{
		Endpoints: []svixsim.Endpoint{{URL: "http://" + addr + "/webhooks/clerk", Secrets: []string{c.secret}}}, Transport: transport,
	})
	require.NoError(b, err)
	return courier
}

// send sends a message, and fails unless it is acknowledged at the first attempt.
func send(ctx context.Context, courier *svixsim.Courier, m clerksim.Message) error {
	result, err := courier.Send(ctx, m)
	if err == nil && result.Outcome != svixsim.Delivered {
		err = fmt.Errorf("message %s: %s: %+v", m.ID, result.Outcome, result.Attempts)
	}
	return err
}

// untilApplied waits until no accepted delivery waits.
func untilApplied(b *testing.B, db *pgx.Conn) {
	b.Helper()
	until(b, db, `SELECT NOT EXISTS (SELECT FROM rolecall.deliveries WHERE state = 'received')`)
}

// until repeats a question until its answer is yes. The ledger has no signal for that.
func until(b *testing.B, db *pgx.Conn, question string, args ...any) {
	b.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for began, yes := time.Now(), false; ; <-ticker.C {
		require.NoError(b, db.QueryRow(b.Context(), question, args...).Scan(&yes))
		if yes {
			return
		}
		require.Less(b, time.Since(began), time.Minute, question)
	}
}

// requireMembers fails unless the mirror has that many members, and the ledger as many applied
// deliveries.
func requireMembers(b *testing.B, db *pgx.Conn, want int) {
	b.Helper()
	var applied, members int
	require.NoError(b, db.QueryRow(b.Context(), `
		SELECT (SELECT count(*) FROM rolecall.deliveries WHERE state = 'applied'), (SELECT count(*) FROM rolecall.live_members)`).Scan(&applied, &members))
	require.Equal(b, []int{want, want}, []int{applied, members})
}
