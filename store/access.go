package store

import (
	"context"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// Pair is one user in one organization.
type Pair struct{ UserID, OrganizationID string }

// Standings returns what a decision needs to know about each pair, in their order, as of one moment.
func Standings(ctx context.Context, db DBTX, pairs ...Pair) ([]clerksync.Standing, error) {
	params := dbsqlc.StandingsParams{OrganizationIds: make([]string, len(pairs)), UserIds: make([]string, len(pairs))}
	for i, p := range pairs {
		params.OrganizationIds[i], params.UserIds[i] = p.OrganizationID, p.UserID
	}
	rows, err := queries().Standings(ctx, db, params)
	if err != nil {
		return nil, fmt.Errorf("read standings: %w", err)
	}
	standings := make([]clerksync.Standing, len(rows))
	for i, r := range rows {
		standings[i] = clerksync.Standing{
			UserID: pairs[i].UserID, OrganizationID: pairs[i].OrganizationID, OrganizationDead: r.OrganizationDead,
			User:       clerksync.UserStatus{Dead: r.UserDead, Banned: r.UserBanned, Deprovisioned: r.UserDeprovisioned},
			EverMember: r.EverMember, Member: r.Member, Role: r.Role, Permissions: r.Permissions, Revision: r.Revision,
		}
		if r.AsOf.After(time.Unix(0, 0)) {
			standings[i].AsOf = r.AsOf
		}
	}
	return standings, nil
}

// UserStatus returns whether an account may do anything at all. An unknown account has the zero
// status: it may.
func UserStatus(ctx context.Context, db DBTX, userID string) (clerksync.UserStatus, error) {
	r, err := queries().UserStatus(ctx, db, userID)
	return clerksync.UserStatus{Dead: r.Dead, Banned: r.Banned, Deprovisioned: r.Deprovisioned}, atMostOneRow(err, "read status of user")
}
