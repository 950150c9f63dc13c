package support

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// ReviewTerms say what an access review can claim.
type ReviewTerms struct {
	At time.Time `json:"at"`
	// CompleteSince is the instant from which on the audit log is complete; null before the first
	// clean sweep.
	CompleteSince *time.Time `json:"log_complete_since"`
	Complete      bool       `json:"complete"` // At isn't before CompleteSince
}

// ReviewedMember is one membership of an access review. Names and identifiers are those of today.
type ReviewedMember struct {
	WorkspaceID   string    `json:"workspace_id"`
	WorkspaceName string    `json:"workspace_name"` // as it was then
	UserID        string    `json:"user_id"`
	Identifier    *string   `json:"identifier"` // e-mail address or other identifier
	Role          string    `json:"role"`       // its key as it was then
	RoleSince     time.Time `json:"role_since"`
	RoleCause     string    `json:"role_cause"`     // the delivery, command, sweep or look-up that told of the role
	FoundBySweep  bool      `json:"found_by_sweep"` // the role's delivery never came: it may be older than role_since
	MemberSince   time.Time `json:"member_since"`
	InvitedBy     *string   `json:"invited_by"`            // user_… or service:NAME; null if no accepted invitation is known
	InviterName   *string   `json:"invited_by_identifier"` // of a user
	Status        string    `json:"status"`                // why the member could do nothing: banned, deprovisioned or deleted; "" for all others
}

// Terms returns what a review of an instant can claim.
func Terms(ctx context.Context, db store.DBTX, at time.Time) (ReviewTerms, error) {
	terms := ReviewTerms{At: at.UTC()}
	since, err := store.LogCompleteSince(ctx, db)
	if err == nil && !since.IsZero() {
		terms.CompleteSince, terms.Complete = &since, !at.Before(since)
	}
	return terms, err
}

// Words says the terms in a sentence.
func (t ReviewTerms) Words() string {
	switch {
	case t.CompleteSince == nil:
		return "The audit log isn't complete yet: no sweep has gone through. Members may be missing."
	case !t.Complete:
		return "The audit log is complete only since " + t.CompleteSince.Format(time.RFC3339) +
			". Of the time before, members who left are missing, and roles may have been others."
	default:
		return "The audit log is complete since " + t.CompleteSince.Format(time.RFC3339) + "."
	}
}

// reviewSlice is how many members of a review are given out at a time.
const reviewSlice = 1000

// AccessReview lists who had which role at an instant, slice by slice. Workspaces come in the order
// of their ids, their members in the order of joining. organizationID limits it to one workspace;
// "" stands for all. Workspaces that were deleted then aren't listed.
func AccessReview(ctx context.Context, db store.DBTX, organizationID string, at time.Time, each func([]ReviewedMember) error) error {
	return store.AccessReview(ctx, db, organizationID, at, func(w *clerksync.WorkspaceReview) error {
		for rows := range slices.Chunk(w.Rows(), reviewSlice) {
			members, err := reviewedMembers(ctx, db, w.Name, rows)
			if err == nil {
				err = each(members)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// reviewedAtOnce is how many of its audit entries the review of a workspace may read for a page: a
// fraction of a second.
const reviewedAtOnce = 20_000

// ErrLargeReview says that a review takes too long for a page.
var ErrLargeReview = errors.New("the access review of this workspace reads too many audit entries for a page")

// ReviewWorkspace is an AccessReview of one workspace for a page: it lists the first most members,
// and how many there were in all. It returns ErrLargeReview if that takes too long.
func ReviewWorkspace(ctx context.Context, db store.DBTX, organizationID string, at time.Time, most int) (first []ReviewedMember, total int, err error) {
	if ok, err := store.ReviewableAtOnce(ctx, db, organizationID, at, reviewedAtOnce); err != nil || !ok {
		return nil, 0, cmp.Or(err, ErrLargeReview)
	}
	err = store.AccessReview(ctx, db, organizationID, at, func(w *clerksync.WorkspaceReview) (err error) {
		rows := w.Rows()
		total = len(rows)
		first, err = reviewedMembers(ctx, db, w.Name, rows[:min(total, most)])
		return err
	})
	return first, total, err
}

func reviewedMembers(ctx context.Context, db store.DBTX, workspace string, rows []clerksync.Access) ([]ReviewedMember, error) {
	ids := []string{}
	for _, r := range rows {
		ids = append(ids, r.UserID, r.InvitedBy)
	}
	names, err := store.NamesOf(ctx, db, ids)
	if err != nil {
		return nil, err
	}
	members := make([]ReviewedMember, len(rows))
	for i, r := range rows {
		members[i] = ReviewedMember{
			WorkspaceID: r.OrganizationID, WorkspaceName: workspace, UserID: r.UserID, Identifier: unlessEmpty(names[r.UserID]),
			Role: r.Role, RoleSince: r.RoleSince.UTC(), RoleCause: r.Cause, FoundBySweep: r.FoundLate(), MemberSince: r.JoinedAt.UTC(),
			InvitedBy: unlessEmpty(r.InvitedBy), InviterName: unlessEmpty(names[r.InvitedBy]),
			Status: Status(r.User.Dead, r.User.Banned, r.User.Deprovisioned),
		}
	}
	return members, nil
}

func unlessEmpty(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// ReviewColumns are the columns of an access review as CSV.
func ReviewColumns() []string {
	return []string{
		"workspace_name", "identifier", "role", "role_since", "member_since", "user_id", "workspace_id", "status", "invited_by",
		"invited_by_identifier", "role_cause", "found_by_sweep",
	}
}

// Record returns the membership's cells in the order of [ReviewColumns].
func (m ReviewedMember) Record() []string {
	return []string{
		m.WorkspaceName, text(m.Identifier), m.Role, m.RoleSince.Format(time.RFC3339), m.MemberSince.Format(time.RFC3339), m.UserID,
		m.WorkspaceID, m.Status, text(m.InvitedBy), text(m.InviterName), m.RoleCause, strconv.FormatBool(m.FoundBySweep),
	}
}

// Record returns the last record of a review as CSV, which has as many cells as the others: that
// the review is complete, its number of memberships, its instant, and since when the log is
// complete.
func (t ReviewTerms) Record(memberships int) []string {
	since := ""
	if t.CompleteSince != nil {
		since = t.CompleteSince.Format(time.RFC3339)
	}
	record := []string{"complete", strconv.Itoa(memberships), t.At.Format(time.RFC3339), since}
	return append(record, make([]string, len(ReviewColumns())-len(record))...)
}
