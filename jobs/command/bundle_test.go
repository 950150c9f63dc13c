package command

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerkapi"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/jobs"
	"github.com/callmine/rolecall/jobs/sweep"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// commandBundle is a commander with a simulated Clerk.
type commandBundle struct {
	*mirrortest.DB

	t         *testing.T
	sent      func() []clerksync.Delivery
	clerk     *clerksim.World
	faults    *clerksim.APIFaults
	client    *clerkapi.Client
	commander *Commander
	may       func(context.Context, store.DBTX) error // nil: every actor may
}

func setupCommands(t *testing.T) *commandBundle {
	t.Helper()
	c := mirrortest.NewClerk(t)
	b := &commandBundle{DB: mirrortest.New(t), t: t, sent: c.Deliveries, clerk: c.World, faults: c.Faults, client: c.Client}
	var err error
	b.commander, err = New(Config{Pool: b.Pool, Clerk: b.client, LookAgainAfter: time.Millisecond, Logger: b.Logs.Logger()})
	require.NoError(t, err)
	return b
}

func (b *commandBundle) person() string {
	b.t.Helper()
	u, err := b.clerk.CreateUser(clerksim.NewUser{})
	require.NoError(b.t, err)
	return u.ID
}

// team makes an organization with two admins and a member at Clerk. Their webhooks are applied.
func (b *commandBundle) team() (organization, admin, second, member string) {
	b.t.Helper()
	admin, second, member = b.person(), b.person(), b.person()
	o, err := b.clerk.CreateOrganization(clerksim.NewOrganization{Name: "North", CreatedBy: admin})
	require.NoError(b.t, err)
	_, err = b.clerk.AddMember(o.ID, second, clerksim.RoleAdmin)
	require.NoError(b.t, err)
	_, err = b.clerk.AddMember(o.ID, member, clerksim.RoleMember)
	require.NoError(b.t, err)
	require.NoError(b.t, b.webhooks())
	return o.ID, admin, second, member
}

// webhooks applies all webhooks that Clerk has sent since the last time.
func (b *commandBundle) webhooks() error {
	deliveries := b.sent()
	if len(deliveries) == 0 {
		return nil
	}
	if _, err := store.AcceptDeliveries(context.Background(), b.Pool, deliveries, store.Jobs{}); err != nil {
		return err
	}
	_, err := b.Apply(context.Background(), mirrortest.IDs(deliveries)...)
	return err
}

// answerDone answers every command alike.
func answerDone(context.Context, store.DBTX, clerksync.Command) (json.RawMessage, error) {
	return json.RawMessage(`"done"`), nil
}

func (b *commandBundle) run(c clerksync.Command, key string) error {
	var k store.CommandKey
	if key != "" {
		k = store.CommandKey{Digest: []byte(key), Request: []byte("request")}
	}
	_, _, err := b.commander.Run(b.t.Context(), c, k, b.may, answerDone)
	return err
}

// work starts workers of jobs that are stopped at the test's end.
func (b *commandBundle) work() {
	b.t.Helper()
	w, err := jobs.NewWorkers(jobs.WorkersConfig{Pool: b.Pool, Retention: jobs.Retention{Commands: store.KeysCount}, Logger: b.Logs.Logger()})
	require.NoError(b.t, err)
	require.NoError(b.t, w.Start(b.t.Context()))
	b.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), mirrortest.Patience)
		defer cancel()
		if err := w.Stop(ctx); err != nil {
			b.t.Error(err)
		}
	})
}

// sweeper returns a sweeper of the simulated Clerk.
func (b *commandBundle) sweeper() *sweep.Sweeper {
	b.t.Helper()
	s, err := sweep.New(sweep.Config{Pool: b.Pool, Clerk: b.client, Logger: b.Logs.Logger(), Settle: 50 * time.Millisecond, ApplyWait: time.Millisecond})
	require.NoError(b.t, err)
	return s
}

// sweep sweeps once, which must succeed.
func (b *commandBundle) sweep(opts sweep.Options) {
	b.t.Helper()
	_, err := b.sweeper().Run(b.t.Context(), opts)
	require.NoError(b.t, err)
}

// entry is an audit entry in short.
type entry struct{ Actor, Action, Target string }

// entriesOf returns the audit entries of an organization's changes. What a late webhook restates is
// no change.
func (b *commandBundle) entriesOf(organization string) []entry {
	b.t.Helper()
	var entries []entry
	for _, e := range b.Audit(b.t) {
		if e.Organization == organization && !clerksync.Action(e.Action).Restates() {
			entries = append(entries, entry{e.Actor, e.Action, e.Target})
		}
	}
	return entries
}

// abandon makes every command that didn't end look as if its process had died a while ago.
func (b *commandBundle) abandon() {
	b.t.Helper()
	b.Exec(b.t, "UPDATE rolecall.commands SET tried_at = tried_at - interval '21 seconds', begun_at = begun_at - interval '21 seconds', sent_at = sent_at - interval '21 seconds' WHERE state = 'begun'")
}

func (b *commandBundle) states() map[string]int {
	b.t.Helper()
	rows, err := b.Pool.Query(b.t.Context(), "SELECT state, count(*) FROM rolecall.commands GROUP BY state")
	require.NoError(b.t, err)
	defer rows.Close()
	states := map[string]int{}
	for rows.Next() {
		var state string
		var n int
		require.NoError(b.t, rows.Scan(&state, &n))
		states[state] = n
	}
	require.NoError(b.t, rows.Err())
	return states
}
