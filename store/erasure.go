package store

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// Erasable is what the mirror knows of a person who is to be erased.
type Erasable struct {
	ID     string // user_…, or orginv_… of somebody who was only invited
	Gone   bool   // deleted at Clerk; no invitation to the address is pending there
	UserID string // whose an invitation is after all; "" if nobody accepted it or has its address

	Memberships, Invitations []string // ids
	// Workspaces are the ids of the deleted workspaces whose names, slugs or metadata have something
	// that stands for the person; Living those of others that may have, 100 at most.
	Workspaces, Living []string
	Traces             clerksync.Traces
}

const (
	// workspacesPage is how many workspaces an erasure reads at a time.
	workspacesPage = 500
	// mostLiving is how many workspaces the report of an erasure names.
	mostLiving = 100
)

// FindErasable finds what the mirror says of a user, or of somebody who was only invited, and the
// invitations to the addresses among the given traces. It returns [ErrNotFound] for an unknown id.
func FindErasable(ctx context.Context, db DBTX, id string, known clerksync.Traces) (Erasable, error) {
	p := Erasable{ID: id, Traces: known}
	find := p.findUser
	if strings.HasPrefix(id, clerksync.InvitationPrefix) {
		find = p.findInvitation
	}
	if err := find(ctx, db); err != nil {
		return p, err
	}
	invitations, err := queries().InvitationsOfPerson(ctx, db, dbsqlc.InvitationsOfPersonParams{ID: id, Addresses: notNull(p.Traces.Sure)})
	if err != nil {
		return p, fmt.Errorf("read invitations: %w", err)
	}
	for _, i := range invitations {
		p.Invitations = append(p.Invitations, i.ID)
		p.Traces.Add(i.Email)
	}
	p.Traces.IDs = slices.Concat([]string{id}, p.Memberships, p.Invitations)
	return p, p.findWorkspaces(ctx, db)
}

func (p *Erasable) findUser(ctx context.Context, db DBTX) error {
	user, err := queries().ErasableUser(ctx, db, p.ID)
	if err := oneRow(err, "read user"); err != nil {
		return err
	}
	p.Gone = user.Gone
	p.Traces.AddName(text(user.FirstName), text(user.LastName))
	p.Traces.Add(text(user.Identifier))
	p.Traces.Add(text(user.ImageUrl))
	memberships, err := queries().MembershipsOfUser(ctx, db, p.ID)
	if err != nil {
		return fmt.Errorf("read memberships: %w", err)
	}
	for _, m := range memberships {
		p.Memberships = append(p.Memberships, m.ID)
	}
	return nil
}

func (p *Erasable) findInvitation(ctx context.Context, db DBTX) error {
	invitation, err := queries().ErasableInvitation(ctx, db, p.ID)
	if err := oneRow(err, "read invitation"); err != nil {
		return err
	}
	p.Gone, p.UserID = !invitation.Pending, invitation.UserID
	p.Traces.Add(invitation.Email)
	return nil
}

// findWorkspaces finds the workspaces that are called after the person.
func (p *Erasable) findWorkspaces(ctx context.Context, db DBTX) error {
	p.Living = []string{}
	for after := ""; ; {
		page, err := queries().WorkspacesNaming(ctx, db, dbsqlc.WorkspacesNamingParams{
			AfterID: after, Texts: notNull(p.Traces.Searched()), Escaped: p.Traces.Escaped(), PageSize: workspacesPage,
		})
		if err != nil {
			return fmt.Errorf("search workspaces: %w", err)
		}
		for _, w := range page {
			after = w.ID
			name, slug, metadata := w.Name, text(w.Slug), []byte(w.PublicMetadata)
			switch {
			case w.Gone && p.Traces.InWorkspace(name, slug, metadata):
				p.Workspaces = append(p.Workspaces, w.ID)
			case !w.Gone && len(p.Living) < mostLiving && p.Traces.MayBeInWorkspace(name, slug, metadata):
				p.Living = append(p.Living, w.ID)
			}
			p.Traces.AddSlug(slug)
		}
		if len(page) < workspacesPage {
			return nil
		}
	}
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// NamingBody is a body of the ledger that may name a person.
type NamingBody struct {
	SvixID     string
	ReceivedAt time.Time
	Waiting    bool // it isn't applied yet
	Body       []byte
}

// BodiesNaming lists at most limit bodies that name a person, after the given one, the oldest
// first.
func BodiesNaming(ctx context.Context, db DBTX, traces clerksync.Traces, after NamingBody, limit int) ([]NamingBody, error) {
	rows, err := queries().BodiesNaming(ctx, db, dbsqlc.BodiesNamingParams{
		AfterAt: after.ReceivedAt, AfterID: after.SvixID, Ids: notNull(traces.IDs), Texts: notNull(traces.Searched()), Escaped: traces.Escaped(), PageSize: pageSize(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("search bodies: %w", err)
	}
	bodies := make([]NamingBody, len(rows))
	for i, r := range rows {
		bodies[i] = NamingBody{r.SvixID, r.ReceivedAt, r.State == string(clerksync.StateReceived), []byte(r.Body)}
	}
	return bodies, nil
}

// EraseBodies deletes the bodies of deliveries, except of those that wait. It returns their
// number.
func EraseBodies(ctx context.Context, db DBTX, svixIDs []string) (int, error) {
	n, err := queries().EraseBodies(ctx, db, svixIDs)
	if err != nil {
		return 0, fmt.Errorf("erase bodies: %w", err)
	}
	return int(n), nil
}

// EntriesNaming lists at most limit audit entries that may name a person, after the given id.
func EntriesNaming(ctx context.Context, db DBTX, traces clerksync.Traces, afterID int64, limit int) ([]clerksync.LoggedEntry, error) {
	rows, err := queries().EntriesNaming(ctx, db, dbsqlc.EntriesNamingParams{
		AfterID: afterID, Ids: notNull(traces.IDs), Texts: notNull(traces.Searched()), Escaped: traces.Escaped(), PageSize: pageSize(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("search audit log: %w", err)
	}
	entries := make([]clerksync.LoggedEntry, len(rows))
	for i, r := range rows {
		entries[i] = link(dbsqlc.ChainLinksRow(r))
	}
	return entries, nil
}

// EraseEntries writes what is left of audit entries. It appends an entry to the instance's chain
// that vouches for it, also for no entries. The transaction holds the lock of [LockVouching]. The
// error is [ErrRaced] if an entry was cut, or erased from, since it was read.
func EraseEntries(ctx context.Context, tx DBTX, id string, left []clerksync.LoggedEntry) error {
	v := clerksync.Voucher{Entries: make([]clerksync.ErasureVoucher, len(left))}
	for i, e := range left {
		sum := e.Sum()
		v.Entries[i] = clerksync.ErasureVoucher{
			OrganizationID: e.OrganizationID, Seq: e.Seq, Hash: hex.EncodeToString(e.Hash), Left: hex.EncodeToString(sum[:]),
		}
	}
	by, err := appendVoucher(ctx, tx, clerksync.ActionOperatorErased, id, "command line", v)
	if err != nil {
		return err
	}
	for _, e := range left {
		var before *int64
		if e.ErasedBy != 0 {
			before = &e.ErasedBy
		}
		n, err := queries().EraseEntry(ctx, tx, dbsqlc.EraseEntryParams{
			ID: e.ID, Hash: e.Hash, Target: e.Target, Before: string(e.Before), After: string(e.After), Data: string(e.Data), ErasedBy: &by,
			ErasedBefore: before,
		})
		if err == nil && n != 1 {
			err = ErrRaced
		}
		if err != nil {
			return fmt.Errorf("erase from entry %d of chain %q: %w", e.Seq, e.OrganizationID, err)
		}
	}
	return nil
}

// EraseCommands erases a person from the answers that are kept for repeats of commands, and
// returns the number of these commands. With dry, it only counts them.
func EraseCommands(ctx context.Context, tx DBTX, traces clerksync.Traces, dry bool) (n int, err error) {
	rows, err := queries().CommandsNaming(ctx, tx, dbsqlc.CommandsNamingParams{Ids: notNull(traces.IDs), Texts: notNull(traces.Searched())})
	if err != nil {
		return 0, fmt.Errorf("search commands: %w", err)
	}
	for _, r := range rows {
		answer, answered := traces.Redact(r.Answer, true)
		outcome, asked := traces.EraseText(r.Outcome)
		if !answered && !asked {
			continue
		}
		n++
		if dry {
			continue
		}
		if err := queries().EraseCommand(ctx, tx, dbsqlc.EraseCommandParams{ID: r.ID, Outcome: outcome, Answer: answer}); err != nil {
			return n, fmt.Errorf("erase from command %s: %w", r.ID, err)
		}
	}
	return n, nil
}

// EraseFailures erases a person from messages about failed deliveries and jobs, and from the ids
// of requests.
func EraseFailures(ctx context.Context, tx DBTX, traces clerksync.Traces) error {
	rows, err := queries().FailuresNaming(ctx, tx, notNull(traces.Searched()))
	if err != nil {
		return fmt.Errorf("search failures of deliveries: %w", err)
	}
	for _, r := range rows {
		if _, about := traces.EraseText(r.LastError); !about {
			continue
		}
		if err := queries().EraseFailure(ctx, tx, dbsqlc.EraseFailureParams{SvixID: r.SvixID, LastError: clerksync.Erased}); err != nil {
			return fmt.Errorf("erase failure of %s: %w", r.SvixID, err)
		}
	}
	failed, err := queries().JobErrorsNaming(ctx, tx, notNull(traces.Searched()))
	if err != nil {
		return fmt.Errorf("search failures of jobs: %w", err)
	}
	jobs := []int64{}
	for _, j := range failed {
		if _, about := traces.Redact([]byte(j.Errors), false); about {
			jobs = append(jobs, j.ID)
		}
	}
	if err := queries().EraseJobErrors(ctx, tx, jobs); err != nil {
		return fmt.Errorf("erase failures of jobs: %w", err)
	}
	return eraseRequestIDs(ctx, tx, traces)
}

func eraseRequestIDs(ctx context.Context, tx DBTX, traces clerksync.Traces) error {
	rows, err := queries().RequestIDsNaming(ctx, tx, notNull(traces.Searched()))
	if err != nil {
		return fmt.Errorf("search ids of requests: %w", err)
	}
	commands := []string{}
	for _, r := range rows {
		if _, about := traces.EraseText(r.RequestID); about {
			commands = append(commands, r.ID)
		}
	}
	if err := queries().EraseRequestIDs(ctx, tx, commands); err != nil {
		return fmt.Errorf("erase ids of requests: %w", err)
	}
	return nil
}

// MarkErased marks the person's objects, so that nothing that Clerk says or sends late brings
// names and addresses back. They stay until [EraseObjects].
func MarkErased(ctx context.Context, tx DBTX, p Erasable) error {
	q := queries()
	err := q.MarkUserErased(ctx, tx, p.ID)
	if err == nil {
		err = q.MarkMembershipsErased(ctx, tx, p.ID)
	}
	if err == nil {
		err = q.MarkInvitationsErased(ctx, tx, notNull(p.Invitations))
	}
	if err == nil {
		err = q.NoteErasure(ctx, tx, p.ID)
	}
	if err != nil {
		return fmt.Errorf("mark %s as erased: %w", p.ID, err)
	}
	return nil
}

// EraseObjects deletes names, addresses, images and metadata of the person's objects and of deleted
// workspaces that are called after the person, and counts a change of each workspace concerned.
func EraseObjects(ctx context.Context, tx DBTX, p Erasable) error {
	q := queries()
	err := q.EraseUser(ctx, tx, p.ID)
	if err == nil {
		err = q.EraseMemberships(ctx, tx, p.ID)
	}
	if err == nil {
		err = q.EraseInvitations(ctx, tx, notNull(p.Invitations))
	}
	if err == nil {
		err = q.EraseWorkspaces(ctx, tx, notNull(p.Workspaces))
	}
	var workspaces []string
	if err == nil {
		workspaces, err = q.OrganizationsOfInvitations(ctx, tx, notNull(p.Invitations))
	}
	if err == nil {
		workspaces = append(workspaces, p.Workspaces...)
		err = q.CountChanges(ctx, tx, dbsqlc.CountChangesParams{OrganizationIds: notNull(workspaces), UserIds: []string{p.ID}})
	}
	if err != nil {
		return fmt.Errorf("erase %s from the mirror: %w", p.ID, err)
	}
	return nil
}

// LateCheck is a search for late bodies: of deliveries that name people who were erased, and came
// since, or waited then.
type LateCheck struct {
	People int64     // who were erased
	Since  time.Time // deliveries that were received before name none of them
	Began  time.Time // by the database's clock
}

// BeginLateCheck says where a search for late bodies begins.
func BeginLateCheck(ctx context.Context, db DBTX) (LateCheck, error) {
	r, err := queries().Erasures(ctx, db)
	if err != nil {
		return LateCheck{}, fmt.Errorf("read erasures: %w", err)
	}
	return LateCheck{r.People, r.Since, r.Began}, nil
}

// LateBodies is one page of deliveries with bodies.
type LateBodies struct {
	Seen    int        // deliveries of the page
	Last    NamingBody // the last one: its id and its time of receipt
	Waiting *time.Time // when the first one was received that names an erased person and waits
}

// EraseLateBodies looks at the next deliveries with bodies, at most limit after the given one. It
// deletes the bodies of those that ended and name people who were erased.
func EraseLateBodies(ctx context.Context, db DBTX, after NamingBody, limit int) (LateBodies, error) {
	r, err := queries().EraseLateBodies(ctx, db, dbsqlc.EraseLateBodiesParams{AfterAt: after.ReceivedAt, AfterID: after.SvixID, PageSize: pageSize(limit)})
	if err != nil {
		return LateBodies{}, fmt.Errorf("erase late bodies: %w", err)
	}
	page := LateBodies{Seen: int(r.Seen), Last: NamingBody{SvixID: r.LastID, ReceivedAt: r.LastAt}}
	if r.Waits {
		page.Waiting = &r.Waiting
	}
	return page, nil
}

// NoteLateCheck notes that no ended delivery received before an instant names people who were
// erased before the check began.
func NoteLateCheck(ctx context.Context, db DBTX, c LateCheck, through time.Time) error {
	if err := queries().NoteErasuresChecked(ctx, db, dbsqlc.NoteErasuresCheckedParams{Through: through, Began: c.Began}); err != nil {
		return fmt.Errorf("note erasures: %w", err)
	}
	return nil
}
