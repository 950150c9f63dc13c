package policy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

func inquiry(role, permission string) clerksync.Inquiry {
	return clerksync.Inquiry{
		Standing:   clerksync.Standing{UserID: "user_1", OrganizationID: "org_a", EverMember: true, Member: true, Role: role},
		Permission: permission,
	}
}

func TestPolicy_KnowsWhereGrantsAreWritten(t *testing.T) {
	t.Parallel()
	p, err := Parse("/etc/rolecall/policy.yaml", []byte("roles:\n  org:admin:\n    - reports:read\n    - billing:manage\n  org:member: [reports:read]\n"))
	require.NoError(t, err)
	p.ReadAt = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	grant := p.Explain(inquiry("org:member", "billing:manage")).Fact(clerksync.FactGrant)
	require.Equal(t, clerksync.Fact{
		Name: clerksync.FactGrant, Applies: true, Detail: "org:member isn't granted billing:manage; org:admin (policy.yaml, line 4) has it",
		Origin: clerksync.Origin{Since: p.ReadAt, Cause: clerksync.CausePolicy},
	}, grant)
	grant = p.Explain(inquiry("org:member", "reports:read")).Fact(clerksync.FactGrant)
	require.True(t, grant.Holds)
	require.Equal(t, "org:member is granted reports:read (policy.yaml, line 5)", grant.Detail)
}

func TestPolicy_ExplainsTheBuiltInOne(t *testing.T) {
	t.Parallel()
	p, err := Default()
	require.NoError(t, err)
	require.Equal(t, "org:member isn't granted billing:manage; org:admin (built-in policy) has it",
		p.Explain(inquiry("org:member", "billing:manage")).Fact(clerksync.FactGrant).Detail)
}

// A permission that no policy could grant isn't proposed to be granted.
func TestPolicy_ProposesOnlyWhatItCouldGrant(t *testing.T) {
	t.Parallel()
	p, err := Default()
	require.NoError(t, err)
	change := p.Explain(inquiry("org:member", "reports:raed")).Change
	require.NotNil(t, change)
	require.Equal(t, clerksync.ChangeGrantPermission, change.Kind)
	require.Equal(t, "org:member", change.Subject)
	require.Nil(t, p.Explain(inquiry("org:member", "reports:*")).Change)
}

func TestPolicy_SaysWhatItWithholdsFromImpersonators(t *testing.T) {
	t.Parallel()
	p, err := Parse("p.yaml", []byte("roles:\n  org:admin: [billing:manage]\ndeny_impersonators: [billing:manage]\n"))
	require.NoError(t, err)
	r := p.Explain(inquiry("org:admin", "billing:manage"))
	require.True(t, r.Decision.Allowed)
	require.Equal(t, "the user acts; the policy withholds billing:manage from impersonators", r.Fact(clerksync.FactImpersonation).Detail)
}
