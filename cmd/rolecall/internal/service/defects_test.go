package service_test

import (
	"bytes"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	svix "github.com/svix/svix-webhooks/go"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
)

// Seven defects of other mirrors of Clerk, each tested through the whole program.

// still returns a stopped clock: all events happen in one millisecond.
func still() func() time.Time {
	at := time.Now()
	return func() time.Time { return at }
}

func TestPeerDefects_SecondUpdateInTheSameMillisecondCounts(t *testing.T) {
	t.Parallel()
	b := servicetest.Setup(t, still())
	workspace, _, member, messages := servicetest.Team(t, b)
	for _, role := range []string{clerksim.RoleAdmin, clerksim.RoleMember} {
		_, err := b.Clerk.SetRole(workspace, member, role)
		require.NoError(t, err)
	}
	changes := b.Clerk.Drain()
	require.Len(t, changes, 2)
	b.Send(t, messages...)
	b.Send(t, changes[1])
	b.Send(t, changes[0]) // each applied before the next
	require.Equal(t, http.StatusForbidden, b.May(t, b.Token(t, member), workspace, "billing:manage"), "demoted last")
	require.Equal(t, "superseded", b.State(t, changes[0].ID))
}

func TestPeerDefects_UpdateAfterDeletionRevivesNothing(t *testing.T) {
	t.Parallel()
	b := servicetest.Setup(t, nil)
	workspace, _, member, messages := servicetest.Team(t, b)
	_, err := b.Clerk.SetRole(workspace, member, clerksim.RoleAdmin)
	require.NoError(t, err)
	update := b.Clerk.Drain()
	require.NoError(t, b.Clerk.RemoveMember(workspace, member))
	b.Send(t, messages...)
	b.Send(t, b.Clerk.Drain()...)
	b.Send(t, update...)
	require.Equal(t, http.StatusNotFound, b.May(t, b.Token(t, member), workspace, "reports:read"))
	require.Equal(t, "superseded", b.State(t, update[0].ID))
}

func TestPeerDefects_LateDeletionKeepsTheRejoinedMember(t *testing.T) {
	t.Parallel()
	b := servicetest.Setup(t, nil)
	workspace, _, member, messages := servicetest.Team(t, b)
	require.NoError(t, b.Clerk.RemoveMember(workspace, member))
	removal := b.Clerk.Drain()
	_, err := b.Clerk.AddMember(workspace, member, clerksim.RoleMember)
	require.NoError(t, err)
	b.Send(t, messages...)
	b.Send(t, b.Clerk.Drain()...)
	b.Send(t, removal...)
	require.Equal(t, http.StatusOK, b.May(t, b.Token(t, member), workspace, "reports:read"))
}

func TestPeerDefects_MembershipMayComeBeforeItsOrganization(t *testing.T) {
	t.Parallel()
	b := servicetest.Setup(t, nil)
	workspace, _, member, messages := servicetest.Team(t, b)
	for _, m := range messages {
		if m.Type == "organizationMembership.created" {
			b.Send(t, m)
		}
	}
	require.Equal(t, http.StatusOK, b.May(t, b.Token(t, member), workspace, "reports:read"))
}

func TestPeerDefects_UnknownEventIsKeptAndIgnored(t *testing.T) {
	t.Parallel()
	b := servicetest.Setup(t, nil)
	require.NoError(t, b.Clerk.Emit("starship.launched", "star_1", map[string]any{"id": "star_1"}))
	messages := b.Clerk.Drain()
	b.Send(t, messages...)
	require.Equal(t, "ignored", b.State(t, messages[0].ID))
}

func TestPeerDefects_RepeatChangesNothing(t *testing.T) {
	t.Parallel()
	b := servicetest.Setup(t, nil)
	workspace, admin, _, messages := servicetest.Team(t, b)
	b.Send(t, messages...)
	url, token := b.Web("/v1/authorize?workspace_id="+workspace+"&permission=reports:read"), b.Token(t, admin)
	type stored struct{ Jobs, Deliveries, Entries int }
	count := func() (s stored) {
		require.NoError(t, b.DB.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM rolecall.river_job WHERE args ? 'svix_ids'), (SELECT count(*) FROM rolecall.deliveries),
			(SELECT count(*) FROM rolecall.audit_log)`).Scan(&s.Jobs, &s.Deliveries, &s.Entries))
		return s
	}
	_, before := b.Get(t, url, token)
	known := count()
	require.Equal(t, len(messages), known.Deliveries)
	b.Send(t, messages...)
	_, after := b.Get(t, url, token)
	require.Equal(t, before, after, "the revision too")
	require.Equal(t, known, count())
}

func TestPeerDefects_BodyChangedByOneByteIsRefused(t *testing.T) {
	t.Parallel()
	b := servicetest.Setup(t, nil)
	_, _, _, messages := servicetest.Team(t, b)
	good := messages[0]
	signer, err := svix.NewWebhook(b.Secret)
	require.NoError(t, err)
	now := time.Now()
	signature, err := signer.Sign(good.ID, now, good.Body)
	require.NoError(t, err)
	send := func(body []byte) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.Web("/webhooks/clerk"), bytes.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Svix-Id", good.ID)
		request.Header.Set("Svix-Timestamp", strconv.FormatInt(now.Unix(), 10))
		request.Header.Set("Svix-Signature", signature)
		status, _ := b.Do(t, request, "")
		return status
	}
	for _, i := range []int{0, len(good.Body) / 2, len(good.Body) - 1} {
		changed := bytes.Clone(good.Body)
		changed[i] ^= 1
		require.Equal(t, http.StatusBadRequest, send(changed))
	}
	require.Equal(t, http.StatusBadRequest, send(append(bytes.Clone(good.Body), '\n')))
	var known int
	require.NoError(t, b.DB.QueryRow(t.Context(), "SELECT count(*) FROM rolecall.deliveries").Scan(&known))
	require.Zero(t, known, "none is stored")
	require.Equal(t, http.StatusOK, send(good.Body))
}
