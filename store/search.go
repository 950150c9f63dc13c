package store

import (
	"context"
	"fmt"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
)

// Holder is a current membership whose role may give a permission.
type Holder struct {
	Pair     Pair
	Position Position // in the list
}

// Sought is a permission that is searched for.
type Sought struct {
	Permission string
	Roles      []string // the keys of the roles to which the policy grants it
}

// HoldersIn lists at most limit members of an organization whose roles may give a permission, in
// the order of joining, after the given position. It leaves out none whose role gives it. Some may
// not have it after all, or may be refused: only a decision says.
func HoldersIn(ctx context.Context, db DBTX, organizationID string, sought Sought, after Position, limit int) ([]Holder, error) {
	rows, err := queries().HoldersIn(ctx, db, dbsqlc.HoldersInParams{
		OrganizationID: organizationID, Permission: sought.Permission, Roles: sought.Roles, AfterJoinedAt: after.At, AfterID: after.ID, PageSize: pageSize(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list holders of a permission: %w", err)
	}
	holders := make([]Holder, len(rows))
	for i, r := range rows {
		holders[i] = Holder{Pair: Pair{UserID: r.UserID, OrganizationID: organizationID}, Position: Position{At: r.CreatedAt, ID: r.ID}}
	}
	return holders, nil
}

// HoldingsOf lists at most limit memberships of a user as HoldersIn does, oldest first.
func HoldingsOf(ctx context.Context, db DBTX, userID string, sought Sought, after Position, limit int) ([]Holder, error) {
	rows, err := queries().HoldingsOf(ctx, db, dbsqlc.HoldingsOfParams{
		UserID: userID, Permission: sought.Permission, Roles: sought.Roles, AfterJoinedAt: after.At, AfterID: after.ID, PageSize: pageSize(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list holdings of a user: %w", err)
	}
	holdings := make([]Holder, len(rows))
	for i, r := range rows {
		holdings[i] = Holder{
			Pair: Pair{UserID: userID, OrganizationID: r.OrganizationID}, Position: Position{At: r.CreatedAt, ID: r.OrganizationID},
		}
	}
	return holdings, nil
}
