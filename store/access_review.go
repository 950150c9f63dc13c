package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// reviewBatch is how many entries an access review reads at a time: some hundred kilobytes.
const reviewBatch = 2000

// reviewUsers is how many users an access review looks up at a time.
const reviewUsers = 1000

// AccessReview rebuilds from the audit log who had which role at an instant. It calls each with
// the review of one workspace after the other, in the order of their ids; organizationID limits it
// to one, and "" stands for all. The memory that it takes grows with the largest workspace, and
// with the number of users who were refused then.
//
// It runs a query for each batch of entries. Entries that are recorded meanwhile may be missing.
// If the log was cut after the instant, the error wraps [ErrCut].
func AccessReview(ctx context.Context, db DBTX, organizationID string, at time.Time, each func(*clerksync.WorkspaceReview) error) error {
	if err := notCut(ctx, db, organizationID, at); err != nil {
		return err
	}
	if err := accessReview(ctx, db, organizationID, at, each); err != nil {
		return err
	}
	return notCut(ctx, db, organizationID, at) // meanwhile
}

// notCut returns an error if a review of an instant would lack entries.
func notCut(ctx context.Context, db DBTX, organizationID string, at time.Time) error {
	before, err := LogCutBefore(ctx, db, organizationID)
	if err == nil && at.Before(before) {
		err = fmt.Errorf("no access review as of %s: %w: it is complete since %s only", at.UTC().Format(time.RFC3339), ErrCut, before.Format(time.RFC3339))
	}
	return err
}

func accessReview(ctx context.Context, db DBTX, organizationID string, at time.Time, each func(*clerksync.WorkspaceReview) error) error {
	if organizationID != "" {
		workspace, err := reviewOne(ctx, db, organizationID, at)
		if err != nil {
			return err
		}
		return each(workspace)
	}
	var accounts clerksync.Accounts
	for _, actions := range [][]clerksync.Action{clerksync.RoleActions(), clerksync.UserActions()} {
		if err := reviewChain(ctx, db, "", actions, at, accounts.Take); err != nil {
			return err
		}
	}
	var workspace *clerksync.WorkspaceReview
	err := reviewAll(ctx, db, at, func(e clerksync.LoggedEntry) error {
		if workspace == nil || workspace.OrganizationID != e.OrganizationID {
			if workspace != nil {
				if err := each(workspace); err != nil {
					return err
				}
			}
			workspace = accounts.Workspace(e.OrganizationID)
		}
		return workspace.Take(e)
	})
	if err != nil || workspace == nil {
		return err
	}
	return each(workspace)
}

// ReviewableAtOnce reports whether the access review of a workspace reads at most so many of its
// entries.
func ReviewableAtOnce(ctx context.Context, db DBTX, organizationID string, at time.Time, most int) (bool, error) {
	n, err := queries().CountReviewEntries(ctx, db, dbsqlc.CountReviewEntriesParams{
		OrganizationID: organizationID, Actions: names(clerksync.WorkspaceActions()), Through: at, Most: pageSize(most + 1),
	})
	if err != nil {
		return false, fmt.Errorf("count audit entries for an access review: %w", err)
	}
	return n <= int64(most), nil
}

// reviewOne reviews one workspace. Of the instance's chain, it reads the entries about roles and
// about the workspace's users only: it has those about all users.
func reviewOne(ctx context.Context, db DBTX, organizationID string, at time.Time) (*clerksync.WorkspaceReview, error) {
	var accounts clerksync.Accounts
	if err := reviewChain(ctx, db, "", clerksync.RoleActions(), at, accounts.Take); err != nil {
		return nil, err
	}
	workspace := accounts.Workspace(organizationID)
	if err := reviewChain(ctx, db, organizationID, clerksync.WorkspaceActions(), at, workspace.Take); err != nil {
		return nil, err
	}
	for ids := range slices.Chunk(workspace.Users(), reviewUsers) {
		if err := reviewAccounts(ctx, db, ids, at, accounts.Take); err != nil {
			return nil, err
		}
	}
	return workspace, nil
}

// reviewAccounts reads the entries about the accounts of some users.
func reviewAccounts(ctx context.Context, db DBTX, userIDs []string, at time.Time, take func(clerksync.LoggedEntry) error) error {
	p := dbsqlc.ReviewEntriesAboutParams{Targets: userIDs, Actions: names(clerksync.UserActions()), Through: at, PageSize: reviewBatch}
	for {
		rows, err := queries().ReviewEntriesAbout(ctx, db, p)
		if err != nil {
			return fmt.Errorf("read audit entries about users for an access review: %w", err)
		}
		for _, r := range rows {
			if err := take(reviewed("", dbsqlc.ReviewEntriesOfRow(r))); err != nil {
				return err
			}
		}
		if len(rows) < reviewBatch {
			return nil
		}
		last := rows[len(rows)-1]
		p.AfterTarget, p.AfterAt, p.AfterSeq = last.Target, last.At, last.Seq
	}
}

// reviewChain reads the entries of one chain that have one of the actions.
func reviewChain(
	ctx context.Context, db DBTX, organizationID string, actions []clerksync.Action, at time.Time, take func(clerksync.LoggedEntry) error,
) error {
	p := dbsqlc.ReviewEntriesOfParams{OrganizationID: organizationID, Actions: names(actions), Through: at, PageSize: reviewBatch}
	for {
		rows, err := queries().ReviewEntriesOf(ctx, db, p)
		if err != nil {
			return fmt.Errorf("read audit log for an access review: %w", err)
		}
		for _, r := range rows {
			if err := take(reviewed(organizationID, r)); err != nil {
				return err
			}
		}
		if len(rows) < reviewBatch {
			return nil
		}
		last := rows[len(rows)-1]
		p.AfterAt, p.AfterSeq = last.At, last.Seq
	}
}

// reviewAll reads the entries of all workspaces, chain by chain.
func reviewAll(ctx context.Context, db DBTX, at time.Time, take func(clerksync.LoggedEntry) error) error {
	p := dbsqlc.ReviewEntriesParams{AfterAt: endOfTime(), Actions: names(clerksync.WorkspaceActions()), Through: at, PageSize: reviewBatch} // after the chain ""
	for {
		rows, err := queries().ReviewEntries(ctx, db, p)
		if err != nil {
			return fmt.Errorf("read audit log for an access review: %w", err)
		}
		for _, r := range rows {
			e := reviewed(r.OrganizationID, dbsqlc.ReviewEntriesOfRow{
				Seq: r.Seq, Actor: r.Actor, Action: r.Action, Target: r.Target, Before: r.Before, After: r.After, At: r.At, Cause: r.Cause,
			})
			if err := take(e); err != nil {
				return err
			}
		}
		if len(rows) < reviewBatch {
			return nil
		}
		last := rows[len(rows)-1]
		p.AfterOrganization, p.AfterAt, p.AfterSeq = last.OrganizationID, last.At, last.Seq
	}
}

func names(actions []clerksync.Action) (all []string) {
	for _, a := range actions {
		all = append(all, string(a))
	}
	return all
}

func reviewed(organizationID string, r dbsqlc.ReviewEntriesOfRow) clerksync.LoggedEntry {
	raw := func(text json.RawMessage) json.RawMessage {
		if len(text) == 0 {
			return nil
		}
		return text
	}
	return clerksync.LoggedEntry{
		OrganizationID: organizationID, Seq: r.Seq, Actor: r.Actor, Action: clerksync.Action(r.Action), Target: r.Target,
		Before: raw(r.Before), After: raw(r.After), At: r.At, Cause: r.Cause,
	}
}

// LogCompleteSince returns from when on the audit log has everything that changed who has access:
// when the first whole sweep had gone through. It is zero if none has. Members who had left by
// then aren't in the log, nor are the roles that members had before. Later on, the log lacks only
// changes whose deliveries never came, until a sweep finds what came of them. If chains were cut
// later, it returns up to when.
func LogCompleteSince(ctx context.Context, db DBTX) (time.Time, error) {
	first, err := ifAny(oneSweep(queries().FirstCleanSweep(ctx, db)))
	if err != nil || first == nil || first.FinishedAt == nil {
		return time.Time{}, err
	}
	cut, err := LogCutBefore(ctx, db, "")
	if cut.After(*first.FinishedAt) {
		return cut, err
	}
	return first.FinishedAt.UTC(), err
}
