package store

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// AttentionState says what the findings about workspaces are worth.
type AttentionState struct {
	Unjudged clerksync.Unjudged // why nothing can be said about any workspace; "" if something can
	JudgedAt time.Time          // when the last whole round ended; zero if there was none
	// Counts says how many workspaces that round had found to have each need. It is empty if nothing
	// can be said.
	Counts map[clerksync.Need]int64
	// NoneCanManage says that no role of any workspace may manage members, so that neither
	// NeedNoManager nor NeedSingleManager is looked for.
	NoneCanManage bool
}

// ReadAttentionState returns what the findings about workspaces are worth.
func ReadAttentionState(ctx context.Context, db DBTX) (AttentionState, error) {
	evidence, err := NeedsEvidence(ctx, db)
	if err != nil {
		return AttentionState{}, err
	}
	round, err := ReadNeedsRound(ctx, db)
	if err != nil {
		return AttentionState{}, err
	}
	rules, err := readRules(ctx, db)
	if err != nil {
		return AttentionState{}, err
	}
	s := AttentionState{Unjudged: evidence.Unjudged(), JudgedAt: round.EndedAt, Counts: round.Counts, NoneCanManage: rules.noneCanManage}
	if s.Unjudged == "" && s.JudgedAt.IsZero() {
		s.Unjudged = clerksync.UnjudgedNotYet
	}
	if s.Unjudged != "" {
		s.Counts = map[clerksync.Need]int64{}
	}
	return s, nil
}

// NeedSince is a need of a workspace, and since when it is known. It may be older.
type NeedSince struct {
	Need  clerksync.Need
	Since time.Time
}

// Attention is a workspace with its needs, as both are now.
type Attention struct {
	WorkspaceRoster

	Needs []NeedSince // in the order of [clerksync.Needs]; those that have settled and still hold
	// Found is when the needs were found, if the workspace has too many members to judge it again.
	// Then the roster has only Members and the limit of Seats. It is zero if the workspace was judged
	// just now.
	Found time.Time
}

// Since returns since when a need is known; zero if the workspace doesn't have it.
func (a Attention) Since(need clerksync.Need) time.Time {
	for _, n := range a.Needs {
		if n.Need == need {
			return n.Since
		}
	}
	return time.Time{}
}

// NeedPosition is a place in the list of the workspaces that have a need. The zero value is before
// the first.
type NeedPosition struct {
	Members        int64 // when the workspace was judged last
	OrganizationID string
}

// WorkspacesNeeding lists at most limit workspaces that have a need, after the given position. The
// largest ones come first, by their members when they were judged last. They are judged again, so
// that none is listed whose need has gone; [Attention] says the exception. next is the position
// after the page; nil at the end. A page before the end may be short, even empty, if many needs
// have gone since the last round. Nothing is listed while nothing can be said: see
// [ReadAttentionState].
func WorkspacesNeeding(ctx context.Context, db DBTX, need clerksync.Need, after NeedPosition, limit int,
) (page []Attention, next *NeedPosition, err error) {
	evidence, err := NeedsEvidence(ctx, db)
	if err != nil || evidence.Unjudged() != "" {
		return nil, nil, err
	}
	if after == (NeedPosition{}) {
		after.Members = math.MaxInt64
	}
	for range attentionReads {
		wanted := limit - len(page)
		rows, err := queries().SettledNeeds(ctx, db, dbsqlc.SettledNeedsParams{
			Need: string(need), AfterMembers: after.Members, AfterID: after.OrganizationID, PageSize: pageSize(wanted + 1),
		})
		if err != nil {
			return nil, nil, fmt.Errorf("list workspaces with a need: %w", err)
		}
		more := len(rows) > wanted
		rows = rows[:min(len(rows), wanted)]
		ids := make([]string, len(rows))
		for i, r := range rows {
			ids[i] = r.OrganizationID
		}
		still, err := attention(ctx, db, ids)
		if err != nil {
			return nil, nil, err
		}
		for _, id := range ids {
			if a, ok := still[id]; ok && !a.Since(need).IsZero() {
				page = append(page, a)
			}
		}
		if !more {
			return page, nil, nil
		}
		last := rows[len(rows)-1]
		after = NeedPosition{Members: last.Members, OrganizationID: last.OrganizationID}
		if len(page) == limit {
			break
		}
	}
	return page, &after, nil
}

// attentionReads is how often a page is filled up at most. After the policy changed, most findings
// may not hold any more.
const attentionReads = 10

// WorkspaceAttention returns one live workspace with its needs, or [ErrNotFound]. While nothing can
// be said about workspaces, it has no needs.
func WorkspaceAttention(ctx context.Context, db DBTX, organizationID string) (Attention, error) {
	evidence, err := NeedsEvidence(ctx, db)
	if err != nil {
		return Attention{}, err
	}
	found, err := attention(ctx, db, []string{organizationID})
	a, ok := found[organizationID]
	switch {
	case err != nil:
		return Attention{}, err
	case !ok:
		return Attention{}, ErrNotFound
	case evidence.Unjudged() != "":
		a.Needs = nil
	}
	return a, nil
}

// judgedAtOnce is how many members are read to judge workspaces again: about a tenth of a second.
const judgedAtOnce = 50_000

// attention judges workspaces now, and returns those that are live, by id. The largest ones, which
// have more members than are read at once, keep what the last round has found.
func attention(ctx context.Context, db DBTX, ids []string) (map[string]Attention, error) {
	sizes, err := queries().Sizes(ctx, db, ids)
	if err != nil {
		return nil, fmt.Errorf("read sizes of workspaces: %w", err)
	}
	rows, err := queries().NeedsOf(ctx, db, ids)
	if err != nil {
		return nil, fmt.Errorf("read needs of workspaces: %w", err)
	}
	var again []string
	left := int64(judgedAtOnce)
	for _, s := range sizes {
		if left -= s.Members; left >= 0 {
			again = append(again, s.ID)
		}
	}
	rosters, err := Rosters(ctx, db, again)
	if err != nil {
		return nil, err
	}
	found := make(map[string]Attention, len(sizes))
	for _, roster := range rosters {
		found[roster.OrganizationID] = Attention{WorkspaceRoster: roster, Needs: settled(rows, roster.OrganizationID, roster.Needs())}
	}
	if len(again) == len(sizes) {
		return found, nil
	}
	return found, addFound(ctx, db, found, sizes[len(again):], rows)
}

// addFound adds workspaces as the last round has found them.
func addFound(ctx context.Context, db DBTX, to map[string]Attention, sizes []dbsqlc.SizesRow, rows []dbsqlc.NeedsOfRow) error {
	round, err := ReadNeedsRound(ctx, db)
	if err != nil {
		return err
	}
	rules, err := readRules(ctx, db)
	if err != nil {
		return err
	}
	needs := clerksync.Needs()
	if rules.noneCanManage {
		needs = slices.DeleteFunc(needs, clerksync.Need.AboutManagers)
	}
	for _, s := range sizes {
		a := Attention{Needs: settled(rows, s.ID, needs), Found: round.EndedAt}
		a.OrganizationID, a.Name, a.Slug, a.CreatedAt = s.ID, s.Name, s.Slug, s.CreatedAt
		a.Members, a.Seats.Limit, a.NoneCanManage = s.Members, max(0, s.MaxMemberships), rules.noneCanManage
		to[s.ID] = a
	}
	return nil
}

// settled returns those of a workspace's needs whose findings have settled.
func settled(rows []dbsqlc.NeedsOfRow, organizationID string, needs []clerksync.Need) (known []NeedSince) {
	for _, need := range needs {
		i := slices.IndexFunc(rows, func(r dbsqlc.NeedsOfRow) bool { return r.OrganizationID == organizationID && r.Need == string(need) })
		if i >= 0 {
			known = append(known, NeedSince{Need: need, Since: rows[i].Since})
		}
	}
	return known
}
