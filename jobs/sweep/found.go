package sweep

import (
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// maxFound is how many differing objects a report names. It is written again with each page, so it
// must stay small; the counts cover all.
const maxFound = 200

// Found is one object that differed from Clerk.
type Found struct {
	Kind       clerksync.Resource   `json:"kind"`
	ID         string               `json:"id"`
	Difference clerksync.Difference `json:"difference"`
	Cause      store.DriftCause     `json:"cause"`
}

// noteFound names the first objects that differed. The first fill of the mirror isn't worth it: all
// objects differ.
func (r *Report) noteFound(found []store.FoundDrift) {
	for _, f := range found {
		if len(r.Found) >= maxFound {
			return
		}
		if f.Cause != store.CauseFirstFill || r.DryRun {
			r.Found = append(r.Found, Found{f.Resource, f.ID, f.Difference, f.Cause})
		}
	}
}

// FoundAll reports whether the report names all objects that differed. Objects that end with
// another one are counted, and not named.
func (r *Report) FoundAll() bool { return len(r.Found) < maxFound }

// WithoutObjects returns the report without the lists of what differed: the counts.
func (r *Report) WithoutObjects() Report {
	counts := *r
	counts.Found, counts.Stakes = nil, nil
	return counts
}

// maxStakes is how many workspaces a report names that would lose memberships.
const maxStakes = 20

// Stake is how many memberships of a workspace a sweep would remove.
type Stake struct {
	OrganizationID string `json:"organization_id"`
	Live           int    `json:"live"`     // memberships of the workspace
	AtStake        int    `json:"at_stake"` // of these, how many would be removed
}

// confirmedUpTo returns how many removals operators have confirmed for the sweep.
func (r *Report) confirmedUpTo() int {
	if r.Order == nil {
		return 0
	}
	return r.Order.ConfirmUpTo
}
