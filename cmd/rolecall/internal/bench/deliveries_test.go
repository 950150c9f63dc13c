package bench_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	svix "github.com/svix/svix-webhooks/go"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
)

// joins makes Clerk's messages that a new user is a member of a new organization. It is cheap,
// because it shares the machine with what is measured: it puts new ids into one message.
type joins struct {
	message clerksim.Message
	texts   []string // of the body, between its ids
	ids     []string // the prefixes of the ids, in the order of the body
	made    atomic.Int64
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
	j := &joins{message: messages[len(messages)-1]}
	require.Equal(b, "organizationMembership.created", j.message.Type)
	const mark = "\x00" // around the prefix of an id
	marked := strings.NewReplacer(organization.ID, mark+"org_"+mark, user.ID, mark+"user_"+mark, membership.ID, mark+"orgmem_"+mark)
	for i, part := range strings.Split(marked.Replace(string(j.message.Body)), mark) {
		if i%2 == 0 {
			j.texts = append(j.texts, part)
		} else {
			j.ids = append(j.ids, part)
		}
	}
	require.Len(b, j.texts, len(j.ids)+1)
	return j
}

// next makes a message. Its ids ascend, as those of Clerk do from second to second.
func (j *joins) next() clerksim.Message {
	number := fmt.Sprintf("3%026d", j.made.Add(1))
	body := make([]byte, 0, 2*len(j.message.Body))
	for i, id := range j.ids {
		body = append(append(append(body, j.texts[i]...), id...), number...)
	}
	body = append(body, j.texts[len(j.ids)]...)
	m := j.message
	m.ID, m.ObjectID, m.Body = "msg_"+number, "orgmem_"+number, body
	return m
}

// sender signs messages as Svix does, and posts them over one connection that it keeps. It costs
// the callers' machine less than svixsim's courier, which uses [http.Client] and keeps a record of
// each attempt.
type sender struct {
	wire   *servicetest.Wire
	signer *svix.Webhook
}

// newSenders returns one for each caller. They end with the benchmark.
func newSenders(b *testing.B, c *clerk, addr string, callers int) []sender {
	b.Helper()
	signer, err := svix.NewWebhook(c.secret)
	require.NoError(b, err)
	senders := make([]sender, callers)
	for i := range senders {
		wire := &servicetest.Wire{Dial: servicetest.DialTCP(addr), Keep: true}
		b.Cleanup(wire.Close)
		senders[i] = sender{wire, signer}
	}
	return senders
}

// send sends a message once, and fails unless it is acknowledged.
func (s sender) send(ctx context.Context, m clerksim.Message) error {
	now := time.Now()
	signature, err := s.signer.Sign(m.ID, now, m.Body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://bench/webhooks/clerk", bytes.NewReader(m.Body))
	if err != nil {
		return err
	}
	request.Header = http.Header{
		"Content-Type": {"application/json"}, "Svix-Id": {m.ID}, "Svix-Timestamp": {strconv.FormatInt(now.Unix(), 10)}, "Svix-Signature": {signature},
	}
	answer, err := s.wire.Do(ctx, request)
	if err == nil && answer.Status != http.StatusOK {
		err = fmt.Errorf("message %s: status %d: %s", m.ID, answer.Status, answer.Text)
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

// requireMembers fails unless the ledger has that many applied deliveries, and the mirror as many
// members besides those that it began with.
func requireMembers(b *testing.B, db *pgx.Conn, want, before int) {
	b.Helper()
	var applied, members int
	require.NoError(b, db.QueryRow(b.Context(), `
		SELECT (SELECT count(*) FROM rolecall.deliveries WHERE state = 'applied'), (SELECT count(*) FROM rolecall.live_members)`).Scan(&applied, &members))
	require.Equal(b, []int{want, want}, []int{applied, members - before})
}
