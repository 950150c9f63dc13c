package support_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// whyOf asks in a snapshot of a directory in which Jane is a member of Acme, and John isn't.
func whyOf(t *testing.T, saved clerksync.Grants) func(configured support.ConfiguredPolicy, asked ...string) (support.WhyAnswer, error) {
	t.Helper()
	pool := directory(t)
	for _, sql := range []string{
		`INSERT INTO rolecall.memberships (id, organization_id, user_id, role, created_at, version)
			VALUES ('orgmem_1', 'org_1', 'user_jane', 'org:member', '2026-01-02T03:04:05Z', '{"r":2,"u":1,"k":1,"o":1767323046000,"d":"msg_1"}')`,
		`INSERT INTO rolecall.revisions (organization_id, revision) VALUES ('org_1', 3)`,
	} {
		_, err := pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	if saved != nil {
		require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			_, err := store.SaveGrants(t.Context(), tx, saved, time.Minute)
			return err
		}))
	}
	return func(configured support.ConfiguredPolicy, asked ...string) (a support.WhyAnswer, err error) {
		tx, err := pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
		require.NoError(t, err)
		defer func() { require.NoError(t, tx.Rollback(context.WithoutCancel(t.Context()))) }()
		return support.Why(t.Context(), tx, support.WhyQuestion{User: asked[0], Workspace: asked[1], Permission: asked[2]}, configured)
	}
}

func configured(t *testing.T, text string) support.ConfiguredPolicy {
	t.Helper()
	p, err := policy.Parse("/etc/rolecall/policy.yaml", []byte(text))
	require.NoError(t, err)
	return support.ConfiguredPolicy{Policy: &p, Source: "/etc/rolecall/policy.yaml"}
}

const whyPolicy = "roles:\n  org:member: [reports:read]\n  org:admin:\n    - billing:manage\n    - reports:read\n"

func whyGrants() clerksync.Grants {
	return clerksync.Grants{"org:admin": {"billing:manage", "reports:read"}, "org:member": {"reports:read"}}
}

func TestWhy_NamesLinesIfTheFileGrantsWhatIsInForce(t *testing.T) {
	t.Parallel()
	why := whyOf(t, whyGrants())
	a, err := why(configured(t, whyPolicy), "jane@example.com", "acme", "billing:manage")
	require.NoError(t, err)
	require.Equal(t, "No: Jane Doe (user_jane) may not use billing:manage in Acme (org_1), because "+
		"org:member isn't granted billing:manage; org:admin (policy.yaml, line 4) has it.", a.Sentence())
	require.Empty(t, a.Notes)
	require.Equal(t, "give user_jane the role org:admin", a.Reasoning.Change.Words)
	membership := a.Reasoning.Fact(clerksync.FactMembership)
	require.Equal(t, "msg_1", membership.Cause)
	require.Equal(t, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), membership.Since.UTC())
	require.WithinDuration(t, time.Now().Add(-time.Minute), a.Reasoning.Fact(clerksync.FactGrant).Since, time.Minute, "when the policy was read")

	a, err = why(configured(t, whyPolicy), "jane doe", "org_1", "reports:read")
	require.NoError(t, err)
	require.Equal(t, "Yes: Jane Doe (user_jane) may use reports:read in Acme (org_1), because org:member is granted reports:read (policy.yaml, line 2).", a.Sentence())
	a, err = why(configured(t, whyPolicy), "jane doe", "org_1", "")
	require.NoError(t, err)
	require.Equal(t, "Yes: Jane Doe (user_jane) counts as a member in Acme (org_1), because the membership orgmem_1 counts.", a.Sentence())
}

// TestWhy_GoesByThePolicyInForce: a file that differs changes no answer.
func TestWhy_GoesByThePolicyInForce(t *testing.T) {
	t.Parallel()
	why := whyOf(t, whyGrants())
	a, err := why(configured(t, "roles:\n  org:member: [billing:manage]\n"), "user_jane", "org_1", "billing:manage")
	require.NoError(t, err)
	require.False(t, a.Reasoning.Decision.Allowed)
	require.Contains(t, a.Reasoning.Fact(clerksync.FactGrant).Detail, "org:admin (policy) has it")
	require.Len(t, a.Notes, 1)
	require.Contains(t, a.Notes[0], "The configured one (/etc/rolecall/policy.yaml) grants other things")

	a, err = why(support.ConfiguredPolicy{Source: "x", Err: errors.New("no such file")}, "user_jane", "org_1", "billing:manage")
	require.NoError(t, err)
	require.False(t, a.Reasoning.Decision.Allowed)
	require.Contains(t, a.Notes[0], "no such file")
}

func TestWhy_BeforeAnyProcessSavedAPolicy(t *testing.T) {
	t.Parallel()
	why := whyOf(t, nil)
	a, err := why(configured(t, whyPolicy), "user_jane", "org_1", "reports:read")
	require.NoError(t, err)
	require.True(t, a.Reasoning.Decision.Allowed)
	require.Contains(t, a.Notes[0], "No process has saved a policy yet")
	_, err = why(support.ConfiguredPolicy{Source: "x", Err: errors.New("no such file")}, "user_jane", "org_1", "reports:read")
	require.ErrorContains(t, err, "no such file")
}

func TestWhy_FindsWhoIsMeant(t *testing.T) {
	t.Parallel()
	why := whyOf(t, whyGrants())
	_, err := why(configured(t, whyPolicy), "doe", "org_1", "reports:read")
	require.ErrorAs(t, err, new(*support.AmbiguousError))
	_, err = why(configured(t, whyPolicy), "user_jane", "labs", "reports:read")
	require.ErrorAs(t, err, new(*support.AmbiguousError))
	_, err = why(configured(t, whyPolicy), "nobody", "org_1", "reports:read")
	require.ErrorAs(t, err, new(*support.NotFoundError))
	_, err = why(configured(t, whyPolicy), "user_jane", "org_1", "\x00")
	require.ErrorAs(t, err, new(*support.PermissionError))
	a, err := why(configured(t, whyPolicy), "user_unknown", "org_unknown", "reports:read")
	require.NoError(t, err)
	require.Equal(t, "No: user_unknown may not use reports:read in org_unknown, because they aren't a member (never a member here).", a.Sentence())
	a, err = why(configured(t, whyPolicy), "user_unknown", "org_unknown", "")
	require.NoError(t, err)
	require.Equal(t, "No: user_unknown isn't a member of org_unknown (never a member here).", a.Sentence())
	a, err = why(configured(t, whyPolicy), "user_john", "org_1", "reports:read")
	require.NoError(t, err)
	require.Equal(t, "make user_john a member of org_1 with the role org:member", a.Reasoning.Change.Words)
	a, err = why(configured(t, whyPolicy), "user_jane", "org_1", "reports:raed")
	require.NoError(t, err)
	require.Equal(t, "no role has reports:raed, which may be misspelt", a.Because())
}
