package policy

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/testlog"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// Policies that give members:manage to admins, to nobody, and to admins and owners.
const (
	managedByAdmins = "roles:\n  org:admin: [members:manage, audit:read]\n"
	managedByNone   = "roles:\n  org:admin: [audit:read]\n"
	managedByMore   = "roles:\n  org:admin: [members:manage]\n  org:owner: [members:manage]\n"
)

// checking returns a keeper of a policy whose file has another text next, and whose database says
// what a change would leave.
func checking(t *testing.T, inForce, next string, left func(ctx context.Context, limit int) ([]store.LeftWorkspace, error)) *Keeper {
	t.Helper()
	k := newKeeper(KeeperConfig{
		Source: "policy.yaml", Logger: (&testlog.Lines{}).Logger(), CheckTimeout: time.Millisecond,
		Read: func(context.Context) (Policy, error) { return Parse("policy.yaml", []byte(next)) },
		Left: func(ctx context.Context, _ clerksync.GrantsChange, limit int) ([]store.LeftWorkspace, error) {
			return left(ctx, limit)
		},
	})
	p, err := Parse("policy.yaml", []byte(inForce))
	require.NoError(t, err)
	k.use(t.Context(), p, time.Now())
	return k
}

// TestKeeper_AsksTheDatabaseOnlyIfARoleLosesManagers: any other reload needs no database, and
// neither does a confirmed one.
func TestKeeper_AsksTheDatabaseOnlyIfARoleLosesManagers(t *testing.T) {
	t.Parallel()
	never := func(context.Context, int) ([]store.LeftWorkspace, error) { panic("asked") }
	none, err := Parse("policy.yaml", []byte(managedByNone))
	require.NoError(t, err)
	for _, step := range [][2]string{
		{managedByAdmins, managedByMore},
		{managedByAdmins, managedByAdmins},
		{managedByNone, managedByAdmins},
		{managedByAdmins, managedByNone + Confirmation(none.Grants) + "\n"},
	} {
		require.NoError(t, checking(t, step[0], step[1], never).read(t.Context()), step)
	}
}

// TestKeeper_RefusesWhatTheDatabaseCannotTell: in time, or at all. The policy in force stays.
func TestKeeper_RefusesWhatTheDatabaseCannotTell(t *testing.T) {
	t.Parallel()
	for want, left := range map[string]func(ctx context.Context, limit int) ([]store.LeftWorkspace, error){
		context.DeadlineExceeded.Error(): func(ctx context.Context, _ int) ([]store.LeftWorkspace, error) { <-ctx.Done(); return nil, ctx.Err() },
		"away":                           func(context.Context, int) ([]store.LeftWorkspace, error) { return nil, errors.New("away") },
		"more than 1000 workspaces would have no member any more who may manage members, because org:admin, org:owner would lose members:manage: org_0, org_1, org_2, ….": func(_ context.Context, limit int) ([]store.LeftWorkspace, error) {
			all := make([]store.LeftWorkspace, limit)
			for i := range all {
				all[i].ID = fmt.Sprintf("org_%d", i)
			}
			return all, nil
		},
	} {
		k := checking(t, managedByMore, managedByNone, left)
		err := k.read(t.Context())
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, `confirm_no_manager: "`)
		require.Equal(t, err, k.Refused())
		require.Len(t, k.Policy().Grants, 2, "the one in force stays")
	}
	k := checking(t, managedByAdmins, managedByNone, func(context.Context, int) ([]store.LeftWorkspace, error) { return nil, nil })
	require.NoError(t, k.read(t.Context()), "no workspace has an admin")
	require.NoError(t, k.Refused())
}

// TestParse_Confirmation: it counts for exactly these grants, with or without quotation marks.
func TestParse_Confirmation(t *testing.T) {
	t.Parallel()
	none, err := Parse("policy.yaml", []byte(managedByNone))
	require.NoError(t, err)
	require.False(t, none.Confirmed)
	for _, line := range []string{Confirmation(none.Grants), "confirm_no_manager: " + none.Grants.Digest(), "confirm_no_manager: '" + none.Grants.Digest() + "' # agreed"} {
		p, err := Parse("policy.yaml", []byte(line+"\n"+managedByNone))
		require.NoError(t, err)
		require.True(t, p.Confirmed, line)
		text, err := p.YAML()
		require.NoError(t, err)
		again, err := Parse("policy.yaml", text)
		require.NoError(t, err)
		require.True(t, again.Confirmed, string(text))
	}
	for _, wrong := range []string{"0123456789012345", "1e5", "true", `""`} {
		p, err := Parse("policy.yaml", []byte("confirm_no_manager: "+wrong+"\n"+managedByNone))
		require.NoError(t, err, wrong)
		require.False(t, p.Confirmed)
		require.Contains(t, fmt.Sprint(p.Warnings), "policy.yaml:1: confirm_no_manager: ", wrong)
	}
	for _, wrong := range []string{"", "[a]", "{a: b}", "null"} {
		_, err := Parse("policy.yaml", []byte("confirm_no_manager: "+wrong+"\n"+managedByNone))
		require.ErrorContains(t, err, "policy.yaml:1: confirm_no_manager must be the digest", wrong)
	}
}
