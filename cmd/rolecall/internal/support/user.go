package support

import (
	"context"
	"time"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// Refusal says why an account may do nothing, in no workspace.
type Refusal struct {
	Status string    // "deleted", "banned" or "deprovisioned"
	Since  time.Time // zero: unknown, because it was so before the mirror began
	Cause  string    // the delivery, sweep or look-up that said so; "" if it isn't known
}

// Limits bound the lists of an answer.
type Limits struct {
	Memberships int // present ones on one page
	Former      int // memberships that have ended
	Entries     int // of the audit log
}

// User is all that support sees of one person.
type User struct {
	store.DirectoryUser

	Refusal       *Refusal // nil: the account may act
	Present       []store.DirectoryMembership
	Next          *store.Position // where the next page of present memberships begins; nil: this is the last one
	Former        []store.FormerMembership
	MoreFormer    bool // older ones aren't listed
	EndedSessions store.Tally
	LastEnded     time.Time // zero: no end is known
	Entries       []clerksync.LoggedEntry
}

// ReadUser returns what support sees of a person, with the page of present memberships after a
// position. db should be a snapshot, so that the parts agree.
func ReadUser(ctx context.Context, db store.DBTX, user store.DirectoryUser, after store.Position, limits Limits) (u User, err error) {
	u.DirectoryUser = user
	if u.Refusal, err = refusalOf(ctx, db, user); err != nil {
		return u, err
	}
	if u.Present, err = store.DirectoryMemberships(ctx, db, user.ID, after, limits.Memberships+1); err != nil {
		return u, err
	}
	if len(u.Present) > limits.Memberships {
		u.Present = u.Present[:limits.Memberships]
		u.Next = new(u.Present[limits.Memberships-1].Position())
	}
	if u.Former, err = store.FormerMemberships(ctx, db, user.ID, limits.Former+1); err != nil {
		return u, err
	}
	if u.MoreFormer = len(u.Former) > limits.Former; u.MoreFormer {
		u.Former = u.Former[:limits.Former]
	}
	if u.EndedSessions, u.LastEnded, err = store.EndedSessionsOf(ctx, db, user.ID); err != nil {
		return u, err
	}
	u.Entries, err = store.EntriesAbout(ctx, db, store.AuditQuery{Target: user.ID}, limits.Entries)
	return u, err
}

// refusalOf returns why an account may do nothing; nil if it may act. A ban has its time and cause
// from the audit log: the account's row names only its newest writer.
func refusalOf(ctx context.Context, db store.DBTX, user store.DirectoryUser) (*Refusal, error) {
	r := &Refusal{Status: Status(user.DeletedAt != nil, user.Banned, user.Deprovisioned)}
	var action clerksync.Action
	switch r.Status {
	case "":
		return nil, nil //nolint:nilnil // there is none, and that is no error
	case "deleted":
		r.Since, r.Cause = *user.DeletedAt, user.DeletedCause
		return r, nil
	case "banned":
		action = clerksync.ActionUserBanned
	default:
		action = clerksync.ActionUserDeprovisioned
	}
	entries, err := store.AuditEntries(ctx, db, store.AuditQuery{Target: user.ID, Action: string(action)}, 1)
	if len(entries) > 0 {
		r.Since, r.Cause = entries[0].At, entries[0].Cause
	}
	return r, err
}
