package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// NeedsEvidence returns how far the mirror can be believed when workspaces are judged.
func NeedsEvidence(ctx context.Context, db DBTX) (clerksync.Evidence, error) {
	r, err := queries().NeedsEvidence(ctx, db)
	if err != nil {
		return clerksync.Evidence{}, fmt.Errorf("read how far the mirror can be believed: %w", err)
	}
	return clerksync.Evidence{
		Now: r.Now, CleanSince: known(r.CleanSince), UncleanSince: known(r.UncleanSince), WaitingSince: known(r.WaitingSince),
		DatabaseChangedAt: known(r.DatabaseChangedAt), PolicySaved: r.PolicySaved,
	}, nil
}

// NeedsRound is how far the round is that judges all workspaces.
type NeedsRound struct {
	UnderWay bool
	Position string    // the last workspace that was judged in the round under way; "" at its beginning
	Due      bool      // the next one may begin
	EndedAt  time.Time // of the last whole round; zero if there was none

	// Counts says how many workspaces the last whole round had found to have each need. It counts
	// settled findings.
	Counts map[clerksync.Need]int64
}

// ReadNeedsRound returns how far the round is.
func ReadNeedsRound(ctx context.Context, db DBTX) (NeedsRound, error) {
	r, err := queries().NeedsRound(ctx, db)
	if err != nil {
		return NeedsRound{}, fmt.Errorf("read round over workspaces: %w", err)
	}
	round := NeedsRound{UnderWay: r.BeganAt != nil, Position: r.Position, Due: r.Due, Counts: map[clerksync.Need]int64{}}
	if r.EndedAt != nil {
		round.EndedAt = *r.EndedAt
	}
	if r.Counts != nil {
		if err := json.Unmarshal(r.Counts, &round.Counts); err != nil {
			return NeedsRound{}, fmt.Errorf("unpack counts of workspaces: %w", err)
		}
	}
	return round, nil
}

// BeginNeedsRound begins a round, unless one is under way.
func BeginNeedsRound(ctx context.Context, db DBTX) error {
	if err := queries().BeginNeedsRound(ctx, db); err != nil {
		return fmt.Errorf("begin round over workspaces: %w", err)
	}
	return nil
}

// JudgedSlice is a part of a round: the workspaces after one position, up to another.
type JudgedSlice struct {
	After, Until string
	Last         bool // no workspace is left behind Until
	Rosters      []WorkspaceRoster
}

// JudgeSlice judges the workspaces after a position: at most so many, and not more than so many
// members at once, unless a single workspace has more. It leaves out workspaces that weren't
// created before the given instant. It writes nothing.
func JudgeSlice(ctx context.Context, db DBTX, after string, createdBefore time.Time, workspaces int, members int64) (JudgedSlice, error) {
	next, err := queries().NextWorkspaces(ctx, db, dbsqlc.NextWorkspacesParams{
		After: after, CreatedBefore: createdBefore, PageSize: pageSize(workspaces),
	})
	if err != nil {
		return JudgedSlice{}, fmt.Errorf("list workspaces: %w", err)
	}
	s := JudgedSlice{After: after, Until: after, Last: len(next) < workspaces}
	var taken []string
	for _, w := range next {
		if members -= w.Members; members < 0 && len(taken) > 0 {
			s.Last = false
			break
		}
		taken, s.Until = append(taken, w.ID), w.ID
	}
	s.Rosters, err = Rosters(ctx, db, taken)
	return s, err
}

// SaveSlice records the needs of judged workspaces, and moves the round on. Findings from before an
// instant have settled. took is how long judging took. It must be called in a transaction. If
// another process has judged the same workspaces, the error is [ErrRaced].
func SaveSlice(ctx context.Context, tx DBTX, s JudgedSlice, settledBefore time.Time, took time.Duration) error {
	moved, err := queries().AdvanceNeedsRound(ctx, tx, dbsqlc.AdvanceNeedsRoundParams{After: s.After, Until: s.Until, WorkedSeconds: took.Seconds()})
	if err == nil && moved == 0 {
		return ErrRaced
	}
	found := dbsqlc.SaveNeedsParams{
		After: s.After, Until: s.Until, ToTheEnd: s.Last, SettledBefore: settledBefore,
		OrganizationIds: []string{}, Needs: []string{}, Members: []int64{},
	}
	for _, w := range s.Rosters {
		for _, need := range w.Needs() {
			found.OrganizationIds = append(found.OrganizationIds, w.OrganizationID)
			found.Needs = append(found.Needs, string(need))
			found.Members = append(found.Members, w.Members)
		}
	}
	if err == nil {
		err = queries().SaveNeeds(ctx, tx, found)
	}
	if err == nil && s.Last {
		err = queries().EndNeedsRound(ctx, tx, dbsqlc.EndNeedsRoundParams{LeastSeconds: needsRest.Seconds(), Rest: needsRestTimes})
	}
	if err != nil {
		return fmt.Errorf("save needs of workspaces: %w", err)
	}
	return nil
}

const (
	// needsRest is the least time from one round to the next.
	needsRest = time.Minute
	// needsRestTimes is how many times as long as judging took in a round the database rests after
	// it. So judging takes at most a twentieth of one of its processors, whatever the number of
	// workspaces.
	needsRestTimes = 20
)
