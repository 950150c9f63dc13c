package sweep

import (
	"cmp"
	"context"
	"slices"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// tally is what a sweep has counted so far of memberships that would end, and where it continues.
// It is stored as JSON with the progress: millions of memberships take longer than one job sweeps.
type tally struct {
	ID       string  `json:"id"`             // of the last membership that was counted
	UserID   string  `json:"user_id"`        // its user
	Current  Stake   `json:"current"`        // its organization, of which more memberships may follow
	Most     []Stake `json:"most,omitempty"` // the organizations before it with the most at stake
	Live     int     `json:"live"`           // memberships that live here
	AtStake  int     `json:"at_stake"`       // of these, how many would end
	Unlisted int     `json:"unlisted"`       // of these, how many weren't listed themselves
}

// with returns the tally after some more memberships, of which last is the last one.
func (t tally) with(stakes []store.Stake, last clerksync.Reference) tally {
	t.Most = slices.Clone(t.Most)
	for _, s := range stakes {
		if s.OrganizationID != t.Current.OrganizationID {
			t.Most = t.most()
			t.Current = Stake{OrganizationID: s.OrganizationID}
		}
		t.Current.Live += s.Live
		t.Current.AtStake += s.AtStake
		t.Live += s.Live
		t.AtStake += s.AtStake
		t.Unlisted += s.Unlisted
	}
	t.ID, t.UserID = last.ID, last.UserID
	return t
}

// most returns the organizations with the most memberships at stake, the current one included. Of
// equal ones, the one that was counted first stays first.
func (t tally) most() []Stake {
	if t.Current.AtStake == 0 {
		return t.Most
	}
	all := append(slices.Clone(t.Most), t.Current)
	slices.SortStableFunc(all, func(a, b Stake) int { return cmp.Compare(b.AtStake, a.AtStake) })
	return all[:min(len(all), maxStakes)]
}

// countStakes counts the memberships of an organization, or of all, page by page. It continues
// where the sweep's progress stands.
func (c *confirmer) countStakes(ctx context.Context, organizationID string) (tally, error) {
	var t tally
	if saved := c.progress.Tally; saved != nil && (organizationID == "" || saved.Current.OrganizationID == organizationID) {
		t = *saved
	}
	for {
		after := clerksync.Reference{ID: t.ID, OrganizationID: t.Current.OrganizationID, UserID: t.UserID}
		stakes, last, err := store.CountStakes(ctx, c.conn, c.sweep, organizationID, after, c.cfg.examined)
		if err != nil || len(stakes) == 0 {
			return t, err
		}
		t = t.with(stakes, last)
		next := c.progress
		next.Tally = &t
		if err := c.save(ctx, next); err != nil {
			return t, err
		}
		c.reportProgress(Progress{Resource: clerksync.ResourceMembership, Confirming: true, LookedUp: next.LookedUp, Total: -1})
	}
}
