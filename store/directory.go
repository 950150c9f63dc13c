package store

import (
	"context"
	"fmt"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
)

// Nearness says how well a text names a workspace or a person. A smaller one is nearer.
type Nearness int32

// What a text can be: an id, all of a slug, identifier or name, or only how one begins. An
// identifier is nearer than a name, which any stranger can choose.
const (
	NearID         Nearness = 1
	NearIdentifier Nearness = 2 // of a person: the e-mail address or other identifier; of a workspace: slug or name
	NearName       Nearness = 3 // of a person: first and last name
	NearBeginning  Nearness = 4
)

// Match is a workspace or a person that a text names.
type Match struct {
	ID       string
	Nearness Nearness
}

// Listed is one row of a list that is ordered by name, with its place in the list.
type Listed struct {
	ID       string
	Position NamePosition
}

// NamePosition is a place in a list that is ordered by name, whatever its case, then by id. The
// zero NamePosition is before the first.
type NamePosition struct {
	Folded string // the name's first 64 characters, in small letters
	ID     string
}

// Tally is a number of rows that weren't all counted.
type Tally struct {
	N       int64
	AtLeast bool // there may be more
}

// MatchWorkspaces returns the workspaces that a text names, deleted ones included, the nearest
// first: by id, slug, name, or how the name begins. Case doesn't count, but in ids. It finds at
// most limit of each sort.
func MatchWorkspaces(ctx context.Context, db DBTX, text string, limit int) ([]Match, error) {
	rows, err := queries().FindWorkspaceIDs(ctx, db, dbsqlc.FindWorkspaceIDsParams{Text: text, Most: pageSize(limit)})
	if err != nil {
		return nil, fmt.Errorf("find workspaces: %w", err)
	}
	matches := make([]Match, len(rows))
	for i, r := range rows {
		matches[i] = Match{ID: r.ID, Nearness: Nearness(r.Nearness)}
	}
	return matches, nil
}

// MatchUsers returns the people whom a text names, deleted ones included, the nearest first: by id,
// identifier, name, or how identifier, first or last name begins. Case doesn't count, but in ids.
// It finds at most limit of each sort.
func MatchUsers(ctx context.Context, db DBTX, text string, limit int) ([]Match, error) {
	rows, err := queries().FindUserIDs(ctx, db, dbsqlc.FindUserIDsParams{Text: text, Most: pageSize(limit)})
	if err != nil {
		return nil, fmt.Errorf("find users: %w", err)
	}
	matches := make([]Match, len(rows))
	for i, r := range rows {
		matches[i] = Match{ID: r.ID, Nearness: Nearness(r.Nearness)}
	}
	return matches, nil
}

// ListWorkspaces lists at most limit workspaces whose names begin with a text, by name, after the
// given position: the live ones, or the deleted ones. Of the text, the first 64 characters count.
// The empty text lists all that have a row in the mirror.
func ListWorkspaces(ctx context.Context, db DBTX, text string, deleted bool, after NamePosition, limit int) ([]Listed, error) {
	p := dbsqlc.WorkspaceIDsByNameParams{Text: text, AfterFolded: after.Folded, AfterID: after.ID, PageSize: pageSize(limit)}
	var listed []Listed
	if deleted {
		rows, err := queries().DeletedWorkspaceIDsByName(ctx, db, dbsqlc.DeletedWorkspaceIDsByNameParams(p))
		if err != nil {
			return nil, fmt.Errorf("list deleted workspaces: %w", err)
		}
		for _, r := range rows {
			listed = append(listed, Listed{ID: r.ID, Position: NamePosition{Folded: r.Folded, ID: r.ID}})
		}
		return listed, nil
	}
	rows, err := queries().WorkspaceIDsByName(ctx, db, p)
	if err != nil {
		return nil, fmt.Errorf("list workspaces: %w", err)
	}
	for _, r := range rows {
		listed = append(listed, Listed{ID: r.ID, Position: NamePosition{Folded: r.Folded, ID: r.ID}})
	}
	return listed, nil
}

// ListUsers lists at most limit people whose accounts live, by identifier, after the given
// position.
func ListUsers(ctx context.Context, db DBTX, after NamePosition, limit int) ([]Listed, error) {
	rows, err := queries().UserIDsByIdentifier(ctx, db, dbsqlc.UserIDsByIdentifierParams{
		AfterFolded: after.Folded, AfterID: after.ID, PageSize: pageSize(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	listed := make([]Listed, len(rows))
	for i, r := range rows {
		listed[i] = Listed{ID: r.ID, Position: NamePosition{Folded: r.Folded, ID: r.ID}}
	}
	return listed, nil
}
