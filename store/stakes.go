package store

import (
	"context"
	"fmt"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// Stake is how many memberships of an organization would end if every unlisted object were gone.
type Stake struct {
	OrganizationID string
	Live           int // memberships that live here
	AtStake        int // of these, how many would end: they weren't listed, or their organization or user wasn't
	Unlisted       int // of these, how many weren't listed themselves
}

// CountStakes examines at most limit memberships after the given one, in the order of organizations
// and users. It returns the organizations to which they belong, with the counts of these
// memberships alone, and the last membership; no organization if none was left. With an
// organization, it counts only there, and takes all users as listed.
func CountStakes(
	ctx context.Context, db DBTX, s Sweep, organizationID string, after clerksync.Reference, limit int,
) (stakes []Stake, last clerksync.Reference, err error) {
	if after.OrganizationID == "" {
		after.OrganizationID = organizationID
	}
	rows, err := queries().CountStakes(ctx, db, dbsqlc.CountStakesParams{
		SweepID: s.ID, Began: s.StartedAt, OrganizationID: organizationID, AfterOrganizationID: after.OrganizationID,
		AfterUserID: after.UserID, AfterID: after.ID, PageSize: pageSize(limit),
	})
	if err != nil {
		return nil, last, fmt.Errorf("count memberships at stake: %w", err)
	}
	for _, r := range rows {
		stakes = append(stakes, Stake{r.OrganizationID, int(r.Live), int(r.AtStake), int(r.Unlisted)})
		last = clerksync.Reference{ID: r.LastID, OrganizationID: r.LastOrganizationID, UserID: r.LastUserID}
	}
	return stakes, last, nil
}
