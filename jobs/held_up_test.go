package jobs

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// waitingThere is how many deliveries are held up.
	waitingThere = 100
	// bystanders is how many removals from other workspaces come meanwhile.
	bystanders = 10
	// heldUpAtMost is how much longer a removal may take beside held-up deliveries. Three times add
	// up: the bound of a statement that applies all in one batch, a look at the locks, and the
	// second attempt. Without these bounds the sum would be seconds.
	heldUpAtMost = 300 * time.Millisecond
)

// crowded returns a mirror of many workspaces. org_a has a hundred members, and org_c two hundred.
// org_b has ten members of org_a and ten other members. org_0 to org_69 have one member each.
func crowded(t *testing.T) *bundle {
	t.Helper()
	b := setup(t)
	var deliveries []clerksync.Delivery
	member := func(id, organization, user string) {
		deliveries = append(deliveries, mirrortest.Joined(t, "msg_"+id, "orgmem_"+id, organization, "user_"+user))
	}
	for n := range waitingThere {
		member(fmt.Sprintf("a%d", n), "org_a", fmt.Sprintf("a%d", n))
		for _, n := range []int{n, waitingThere + n} {
			member(fmt.Sprintf("c%d", n), "org_c", fmt.Sprintf("c%d", n))
		}
	}
	for n := range bystanders {
		member(fmt.Sprintf("ab%d", n), "org_b", fmt.Sprintf("a%d", n))
		member(fmt.Sprintf("b%d", n), "org_b", fmt.Sprintf("b%d", n))
	}
	for n := range 70 {
		member(strconv.Itoa(n), fmt.Sprintf("org_%d", n), strconv.Itoa(n))
	}
	b.Insert(t, deliveries...)
	_, err := b.apply(t.Context(), mirrortest.IDs(deliveries)...)
	require.NoError(t, err)
	return b
}

// removed is an organizationMembership.deleted.
func removed(t *testing.T, svixID, membershipID, organizationID, userID string) clerksync.Delivery {
	t.Helper()
	return mirrortest.Event(t, svixID, "organizationMembership.deleted", 2, map[string]any{
		"id": membershipID, "role": "org:member", "created_at": mirrortest.T0, "updated_at": mirrortest.T0 + 2,
		"organization":     map[string]any{"id": organizationID, "name": "North"},
		"public_user_data": map[string]any{"user_id": userID, "first_name": "Kim"},
	})
}

// banned is a user.updated that bans.
func banned(t *testing.T, svixID, userID string) clerksync.Delivery {
	t.Helper()
	return mirrortest.Event(t, svixID, "user.updated", 2, map[string]any{"id": userID, "first_name": "Kim", "banned": true, "updated_at": mirrortest.T0 + 2})
}

// removalFrom returns the removals of the members of org_a or org_c, one for each n.
func removalFrom(of string) func(*testing.T, int) clerksync.Delivery {
	return func(t *testing.T, n int) clerksync.Delivery {
		t.Helper()
		id := fmt.Sprintf("%s%d", of, n)
		return removed(t, "msg_gone_"+id, "orgmem_"+id, "org_"+of, "user_"+id)
	}
}

// moreFromC returns the removals of the other members of org_c.
func moreFromC(t *testing.T, n int) clerksync.Delivery {
	t.Helper()
	return removalFrom("c")(t, waitingThere+n)
}

// banFromA bans the members of org_a.
func banFromA(t *testing.T, n int) clerksync.Delivery {
	t.Helper()
	return banned(t, fmt.Sprintf("msg_banned_a%d", n), fmt.Sprintf("user_a%d", n))
}

// endOfA deletes org_a, with another delivery for each n.
func endOfA(t *testing.T, n int) clerksync.Delivery {
	t.Helper()
	return mirrortest.Event(t, fmt.Sprintf("msg_end_a%d", n), "organization.deleted", int64(2+n), map[string]any{"id": "org_a", "deleted": true})
}

// removalElsewhere removes the member of one workspace from org_20 to org_59.
func removalElsewhere(t *testing.T, n int) clerksync.Delivery {
	t.Helper()
	of := 20 + n%40
	return removed(t, fmt.Sprintf("msg_gone_%d_%d", of, n), fmt.Sprintf("orgmem_%d", of), fmt.Sprintf("org_%d", of), fmt.Sprintf("user_%d", of))
}

// sleeping returns SQL that makes changes of a table sleep if a condition holds.
func sleeping(table, when, seconds string) string {
	return `CREATE FUNCTION rolecall.sleep() RETURNS trigger LANGUAGE plpgsql AS
			$$ BEGIN PERFORM pg_sleep(` + seconds + `); RETURN NEW; END $$;
		CREATE TRIGGER sleep BEFORE INSERT OR UPDATE ON ` + table + ` FOR EACH ROW WHEN (` + when + `) EXECUTE FUNCTION rolecall.sleep()`
}

// TestApply_HeldUpWorkspaceDelaysNoOthersRemoval makes a hundred deliveries wait for a lock, or for
// a trigger that sleeps. Removals from other workspaces come between them, one by one or in the
// same commits. A first round has deliveries that wait for nothing. The slowest removal may take at
// most [heldUpAtMost] longer than the slowest of that round.
func TestApply_HeldUpWorkspaceDelaysNoOthersRemoval(t *testing.T) { //nolint:tparallel // it measures time
	needsSurroundings(t)
	t.Parallel()
	const locking = "SELECT FROM rolecall."
	for name, tc := range map[string]struct { //nolint:paralleltest // it measures time
		lock     string // by another session, for as long as the test takes
		trigger  string
		waits    func(*testing.T, int) clerksync.Delivery
		together bool
	}{
		"memberships": {lock: locking + "memberships WHERE organization_id = 'org_a' FOR UPDATE", waits: removalFrom("a")},
		"memberships, in the same commits": {
			lock: locking + "memberships WHERE organization_id = 'org_a' FOR UPDATE", waits: removalFrom("a"), together: true,
		},
		"organization":                        {lock: locking + "organizations WHERE id = 'org_a' FOR UPDATE", waits: endOfA},
		"revision":                            {lock: locking + "revisions WHERE organization_id = 'org_a' FOR UPDATE", waits: removalFrom("a"), together: true},
		"head of the audit log":               {lock: locking + "audit_heads WHERE organization_id = 'org_a' FOR UPDATE", waits: removalFrom("a")},
		"users":                               {lock: locking + "users WHERE id LIKE 'user_a%' FOR UPDATE", waits: banFromA},
		"users, in the same commits":          {lock: locking + "users WHERE id LIKE 'user_a%' FOR UPDATE", waits: banFromA, together: true},
		"revision, users of two":              {lock: locking + "revisions WHERE organization_id = 'org_a' FOR UPDATE", waits: banFromA},
		"head of the audit log, users of two": {lock: locking + "audit_heads WHERE organization_id = 'org_a' FOR UPDATE", waits: banFromA, together: true},
		"forty workspaces": {
			lock: locking + "memberships WHERE length(id) = 9 AND id >= 'orgmem_20' AND id <= 'orgmem_59' FOR UPDATE", waits: removalElsewhere, together: true,
		},
		"memberships that sleep":    {trigger: sleeping("rolecall.memberships", "NEW.organization_id = 'org_a'", "20"), waits: removalFrom("a"), together: true},
		"memberships that are slow": {trigger: sleeping("rolecall.memberships", "NEW.organization_id = 'org_a'", "0.06"), waits: removalFrom("a")},
		"bans that sleep":           {trigger: sleeping("rolecall.users", "NEW.id LIKE 'user_a%'", "20"), waits: banFromA},
		"poison":                    {trigger: raising("rolecall.memberships", "NEW.organization_id = 'org_a'"), waits: removalFrom("a"), together: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := crowded(t)
			in := b.workForService(t)
			usual := max(b.bystand(t, in, 0, tc.together, removalFrom("c")), b.bystand(t, in, 60, tc.together, moreFromC))
			if tc.trigger != "" {
				b.Exec(t, tc.trigger)
			}
			if tc.lock != "" {
				b.Hold(t, tc.lock)
			}
			worst := b.bystand(t, in, bystanders, tc.together, tc.waits)
			t.Log("usual", usual, "worst", worst)
			require.Less(t, worst, usual+heldUpAtMost)
		})
	}
}

// workForService starts an inbox, and workers with pools as large as the service's.
func (b *bundle) workForService(t *testing.T) *Inbox {
	t.Helper()
	wide := func(cfg *pgxpool.Config) {
		cfg.MaxConns = 22
		cfg.ConnConfig.RuntimeParams["lock_timeout"] = "1s"
	}
	w, err := NewWorkers(WorkersConfig{Pool: mirrortest.OpenPool(t, b.URL, wide), Queue: mirrortest.OpenPool(t, b.URL, nil), Logger: b.Logs.Logger()})
	require.NoError(t, err)
	start(t, w)
	return b.inbox(t)
}

// bystand sends deliveries that wait, and between them removals from other workspaces. It returns
// how long the slowest of these removals took. In the round of org_10 to org_19, every second
// removal is from org_b instead.
func (b *bundle) bystand(t *testing.T, in *Inbox, from int, together bool, waits func(*testing.T, int) clerksync.Delivery) (worst time.Duration) {
	t.Helper()
	acknowledged := make([]time.Time, bystanders)
	var wg sync.WaitGroup
	send := func(d clerksync.Delivery, then func()) {
		deliver := func() {
			if _, err := in.Accept(context.Background(), d); err != nil {
				t.Error(err)
			}
			then()
		}
		if together {
			wg.Go(deliver)
		} else {
			deliver()
		}
	}
	bystander := func(i int) clerksync.Delivery {
		id, organization := strconv.Itoa(from+i), fmt.Sprintf("org_%d", from+i)
		if from == bystanders && i%2 == 1 {
			id, organization = fmt.Sprintf("b%d", i), "org_b"
		}
		return removed(t, fmt.Sprintf("msg_bystander_%d", from+i), "orgmem_"+id, organization, "user_"+id)
	}
	for n := range waitingThere {
		send(waits(t, n), func() {})
		if i := n / bystanders; n%bystanders == bystanders-1 {
			send(bystander(i), func() { acknowledged[i] = time.Now() })
		}
	}
	wg.Wait()
	for i := range bystanders {
		id := bystander(i).ID
		b.UntilState(t, id, clerksync.StateApplied)
		worst = max(worst, b.Ledger(t, id).AppliedAt.Sub(acknowledged[i]))
	}
	return worst
}
