package service_test

import (
	"fmt"
	"maps"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/svixsim"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestAccessReviewOfAnyInstant: deliveries are lost, repeated and reordered, and a sweep repairs
// the mirror. The access review of the present then is the directory, and the mirror. If the lost
// deliveries come after all, the review of each instant is the directory of that instant.
func TestAccessReviewOfAnyInstant(t *testing.T) {
	t.Parallel()
	b := servicetest.Setup(t, nil)
	clerk := &movingClerk{}
	server := httptest.NewServer(clerk)
	t.Cleanup(server.Close)
	_, err := b.DB.Exec(t.Context(), "ALTER TABLE rolecall.audit_log DISABLE TRIGGER audit_log_append_only")
	require.NoError(t, err)
	rapid.Check(t, func(rt *rapid.T) {
		_, err := b.DB.Exec(t.Context(), "TRUNCATE rolecall.audit_log, rolecall.audit_heads")
		require.NoError(rt, err)
		h := newHistory(t, rt, b)
		h.readLag = time.Millisecond
		var moments []instant
		actions := h.actions()
		delete(actions, "rename a role's key") // another role may take it: see package sync
		actions[""] = func(*rapid.T) {
			moments = append(moments, instant{h.now.Add(700 * time.Millisecond), h.members()})
			h.now = h.now.Add(time.Second) // more than events are stamped late
		}
		rt.Repeat(actions)
		h.deliver(svixsim.Faults{Drop: rapid.SampledFrom([]float64{0, 0.2, 1}).Draw(rt, "lost"), Repeat: 0.2, Delay: 0.2})
		h.sweep(server.URL, clerk)
		lost := h.late
		h.late = nil
		h.deliver(svixsim.Faults{Repeat: 0.2}) // the changes during the sweep
		h.requireReview(time.Now().Add(time.Hour), h.members(), nil)
		h.requireReviewIsMirror()
		h.late = lost
		h.deliver(svixsim.Faults{})
		blurs := h.blurred()
		for _, then := range moments {
			h.requireReview(then.at, then.members, blurs)
		}
		h.requireReview(time.Now().Add(time.Hour), h.members(), nil)
		h.requireReviewIsMirror()
	})
}

// instant is the directory at one instant.
type instant struct {
	at      time.Time
	members map[string]string // "org_…/user_…": role and status
}

func (h *history) members() map[string]string {
	d, members := h.clerk.Directory(), map[string]string{}
	for _, m := range d.Memberships() {
		user := d.Users[m.UserID]
		members[m.OrganizationID+"/"+m.UserID] = fmt.Sprint(m.Role, clerksync.UserStatus{Banned: user.Banned, Deprovisioned: user.Deprovisioned})
	}
	return members
}

func (h *history) review(at time.Time) (rows []clerksync.Access) {
	err := store.AccessReview(h.t.Context(), h.b.DB, "", at, func(w *clerksync.WorkspaceReview) error {
		rows = append(rows, w.Rows()...)
		return store.AccessReview(h.t.Context(), h.b.DB, w.OrganizationID, at, func(alone *clerksync.WorkspaceReview) error {
			require.Equal(h.rt, w.Rows(), alone.Rows(), "a workspace reviewed alone")
			return nil
		})
	})
	require.NoError(h.rt, err)
	return rows
}

func (h *history) requireReview(at time.Time, want map[string]string, blurs []blur) {
	got := map[string]string{}
	for _, a := range h.review(at) {
		if !a.User.Dead {
			got[a.OrganizationID+"/"+a.UserID] = fmt.Sprint(a.Role, a.User)
		}
	}
	for _, blur := range blurs {
		if blur.from.Before(at) && at.Before(blur.until) {
			maps.DeleteFunc(want, blur.concerns)
			maps.DeleteFunc(got, blur.concerns)
		}
	}
	if !maps.Equal(want, got) {
		require.Equal(h.rt, want, got, "at %s; log:\n%s", at.UTC(), h.log())
	}
}

func (h *history) requireReviewIsMirror() {
	rows, err := h.b.DB.Query(h.t.Context(), "SELECT organization_id || '/' || user_id || ' ' || role FROM rolecall.live_members")
	require.NoError(h.rt, err)
	want, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(h.rt, err)
	var got []string
	for _, a := range h.review(time.Now().Add(time.Hour)) {
		if a.User.Refusal() == "" {
			got = append(got, a.OrganizationID+"/"+a.UserID+" "+a.Role)
		}
	}
	require.ElementsMatch(h.rt, want, got, "log:\n%s", h.log())
}

func (h *history) log() string {
	rows, err := h.b.DB.Query(h.t.Context(), `SELECT concat_ws(' ', to_char(at AT TIME ZONE 'UTC', 'HH24:MI:SS.MS'), organization_id,
		action, target, 'before', before, 'after', after, cause) FROM rolecall.audit_log ORDER BY id`)
	require.NoError(h.rt, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(h.rt, err)
	return strings.Join(lines, "\n")
}

// blur is a time in which the log may be wrong about one object.
type blur struct {
	object      string
	from, until time.Time
}

// concerns reports whether the pair "org_…/user_…" is the blurred object, or has it.
func (b blur) concerns(pair, _ string) bool { return strings.Contains(pair, b.object) }

// blurred returns what needn't be exact, because an event may have come after two later ones of its
// object: see the law in package sync.
func (h *history) blurred() (blurs []blur) {
	for _, late := range h.delivered {
		later := map[string][]clerksim.Message{}
		for _, m := range h.delivered {
			if m.ObjectID == late.ObjectID && m.OccurredAt.After(late.OccurredAt) {
				later[m.ID] = append(later[m.ID], m)
			}
		}
		if len(later) < 2 {
			continue
		}
		b := blur{object: late.ObjectID, from: late.OccurredAt, until: late.OccurredAt}
		for _, m := range later {
			if at := m[0].OccurredAt; at.After(b.until) {
				b.until = at
			}
		}
		if strings.HasPrefix(b.object, clerksync.MembershipPrefix) {
			b.object = pairOf(late)
		}
		blurs = append(blurs, b)
	}
	return blurs
}

func pairOf(m clerksim.Message) string {
	facts, _, _ := clerksync.Decode(clerksync.NewDelivery(m.ID, m.Body, m.OccurredAt, m.OccurredAt))
	return facts.Memberships[0].OrganizationID + "/" + facts.Memberships[0].UserID
}
