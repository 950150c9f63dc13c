package store

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// Pair is one user in one organization.
type Pair struct{ UserID, OrganizationID string }

// Standings returns what a decision needs to know about each pair, in their order. It reads each
// pair as of one moment, and all pairs in one round trip.
func Standings(ctx context.Context, db DBTX, pairs ...Pair) ([]clerksync.Standing, error) {
	params := make([]dbsqlc.StandingsParams, len(pairs))
	for i, p := range pairs {
		params[i] = dbsqlc.StandingsParams{UserID: p.UserID, OrganizationID: p.OrganizationID}
	}
	standings := make([]clerksync.Standing, len(pairs))
	var first error
	queries().Standings(ctx, db, params).QueryRow(func(i int, r dbsqlc.StandingsRow, err error) {
		first = cmp.Or(first, err)
		standings[i] = clerksync.Standing{
			UserID: pairs[i].UserID, OrganizationID: pairs[i].OrganizationID, OrganizationDead: r.OrganizationDead,
			User:       clerksync.UserStatus{Dead: r.UserDead, Banned: r.UserBanned, Deprovisioned: r.UserDeprovisioned},
			EverMember: r.EverMember, Member: r.Member, Role: r.Role, Permissions: r.Permissions, Revision: r.Revision,
		}
		if r.AsOf.After(time.Unix(0, 0)) {
			standings[i].AsOf = r.AsOf
		}
	})
	if first != nil {
		return nil, fmt.Errorf("read standings: %w", first)
	}
	return standings, nil
}

// UserStatus returns whether an account may do anything at all. An unknown account has the zero
// status: it may.
func UserStatus(ctx context.Context, db DBTX, userID string) (clerksync.UserStatus, error) {
	r, err := queries().UserStatus(ctx, db, userID)
	return clerksync.UserStatus{Dead: r.Dead, Banned: r.Banned, Deprovisioned: r.Deprovisioned}, atMostOneRow(err, "read status of user")
}
