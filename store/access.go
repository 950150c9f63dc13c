package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// Pair is one user in one organization.
type Pair struct{ UserID, OrganizationID string }

// Standings returns what the mirror knows about each pair: all that a decision needs, read in one statement and so
// as of one moment. Every pair is in the result, also one of which nothing is known.
func Standings(ctx context.Context, db DBTX, pairs []Pair) (map[Pair]clerksync.Standing, error) {
	var p dbsqlc.StandingsParams
	for _, pair := range pairs {
		p.UserIds = append(p.UserIds, pair.UserID)
		p.OrganizationIds = append(p.OrganizationIds, pair.OrganizationID)
	}
	rows, err := queries().Standings(ctx, db, p)
	if err != nil {
		return nil, fmt.Errorf("read standings: %w", err)
	}
	standings := make(map[Pair]clerksync.Standing, len(rows))
	for _, r := range rows {
		s := clerksync.Standing{
			UserID: r.UserID, OrganizationID: r.OrganizationID, OrganizationDead: r.OrganizationDead,
			User:       clerksync.UserStatus{Dead: r.UserDead, Banned: r.UserBanned, Deprovisioned: r.UserDeprovisioned},
			EverMember: r.EverMember, Member: r.Member, Role: r.Role, Permissions: r.Permissions, Revision: r.Revision,
		}
		if r.AsOf != nil {
			s.AsOf = *r.AsOf
		}
		standings[Pair{UserID: r.UserID, OrganizationID: r.OrganizationID}] = s
	}
	return standings, nil
}

// UserStatus returns whether an account may do anything at all. Of an unknown one nothing is held against it.
func UserStatus(ctx context.Context, db DBTX, userID string) (clerksync.UserStatus, error) {
	r, err := queries().UserStatus(ctx, db, userID)
	if errors.Is(err, pgx.ErrNoRows) {
		return clerksync.UserStatus{}, nil
	}
	if err != nil {
		return clerksync.UserStatus{}, fmt.Errorf("read status of user: %w", err)
	}
	return clerksync.UserStatus{Dead: r.Dead, Banned: r.Banned, Deprovisioned: r.Deprovisioned}, nil
}
