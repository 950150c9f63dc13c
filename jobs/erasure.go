package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// ErrNotGone says that a person who is to be erased still has an account at Clerk, as far as the
// mirror knows.
var ErrNotGone = errors.New("the user isn't deleted at Clerk, as far as the mirror knows")

// ErrPending says that an invitation of a person who is to be erased waits for an answer.
var ErrPending = errors.New("an invitation to the address is pending at Clerk, as far as the mirror knows")

// UsersError says that an invitation belongs to a user, who is to be erased instead.
type UsersError struct{ UserID string }

// Error implements error.
func (e *UsersError) Error() string { return "the invitation is of a user: erase " + e.UserID }

const (
	// erasePage is how many bodies or entries an erasure reads at a time.
	erasePage = 500
	// eraseEntries is how many entries one transaction erases from. Each is checked against the
	// voucher, while no other transaction can append to the instance's chain: for some
	// milliseconds.
	eraseEntries = 100
	// checkMargin is how long a commit may take after a delivery's time of receipt was set, and how
	// far behind the database's clock a process may set it.
	checkMargin = time.Hour
	// checkNote is after how many pages a search for late bodies notes how far it has come.
	checkNote = 100
)

// ErasureOptions say how a person is erased.
type ErasureOptions struct {
	DryRun bool // only count
	Force  bool // also if the user isn't deleted at Clerk, or an invitation is pending there
	// Also are texts that stand for the person, beside those that Rolecall knows: former addresses,
	// nicknames, and, in an erasure that is repeated, those that the first one has forgotten.
	Also []string
}

// Erasure is what an erasure did, or with DryRun what it would do.
type Erasure struct {
	UserID      string   `json:"user_id"`       // "" for somebody who was only invited
	Invitation  string   `json:"invitation_id"` // of somebody who was only invited; else ""
	DryRun      bool     `json:"dry_run"`
	Memberships int      `json:"memberships"`         // whose metadata went
	Invitations int      `json:"invitations"`         // whose addresses went
	Bodies      int      `json:"bodies"`              // of deliveries
	Waiting     int      `json:"waiting"`             // deliveries that aren't applied yet: their bodies go within two hours after that
	Entries     int      `json:"entries"`             // of the audit log, from which names and addresses went
	Commands    int      `json:"commands"`            // whose answers were kept for repeats
	Workspaces  int      `json:"workspaces"`          // deleted ones, whose names went with their slugs, images and metadata
	ToCheck     []string `json:"workspaces_to_check"` // ids of living ones, 100 at most: their names, slugs or metadata have texts that stand for the person
}

// Erase removes a person's names, addresses, images and metadata from the mirror and the audit
// log, and the bodies of deliveries that name the person. Ids, roles, times and hashes stay. It
// may end after any transaction, and is then run again: what the person is found by goes last.
//
// The id is a user's, or that of an invitation (orginv_…) to somebody who never became a user. The
// error is [store.ErrNotFound] for an unknown id, [ErrNotGone], [ErrPending], or a [UsersError].
func Erase(ctx context.Context, pool *pgxpool.Pool, id string, o ErasureOptions) (done Erasure, err error) {
	done = Erasure{UserID: id, DryRun: o.DryRun, ToCheck: []string{}}
	gone := ErrNotGone
	if strings.HasPrefix(id, clerksync.InvitationPrefix) {
		done.UserID, done.Invitation, gone = "", id, ErrPending
	}
	person, err := findErasable(ctx, pool, id, o.Also)
	switch {
	case err != nil:
		return done, err
	case person.UserID != "":
		return done, &UsersError{person.UserID}
	case !person.Gone && !o.Force:
		return done, gone
	}
	done.Memberships, done.Invitations = len(person.Memberships), len(person.Invitations)
	done.Workspaces, done.ToCheck = len(person.Workspaces), person.Living
	if !o.DryRun { // from now on, no name comes back
		err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return store.MarkErased(ctx, tx, person) })
	}
	var last int64
	if err == nil {
		last, err = done.entries(ctx, pool, person.Traces, 0)
	}
	if err == nil {
		err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) (err error) {
			if !o.DryRun {
				if err := store.EraseFailures(ctx, tx, person.Traces); err != nil {
					return err
				}
			}
			done.Commands, err = store.EraseCommands(ctx, tx, person.Traces, o.DryRun)
			return err
		})
	}
	var bodies []string
	if err == nil {
		bodies, err = done.bodies(ctx, pool, person.Traces)
	}
	if err != nil || o.DryRun {
		return done, err
	}
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { // at once: a body may be all that tells an address
		n, err := store.EraseBodies(ctx, tx, bodies)
		if err != nil {
			return err
		}
		done.Bodies = n
		done.Waiting += len(bodies) - n // replayed meanwhile
		return store.EraseObjects(ctx, tx, person)
	})
	if err == nil { // what was recorded meanwhile
		_, err = done.entries(ctx, pool, person.Traces, last)
	}
	return done, err
}

// findErasable finds the person, with all that the mirror and the bodies of deliveries say. A body
// may show an address, which finds invitations, which are in other bodies.
func findErasable(ctx context.Context, pool *pgxpool.Pool, id string, also []string) (store.Erasable, error) {
	var known clerksync.Traces
	for _, text := range also {
		known.AddTold(text)
	}
	for {
		person, err := store.FindErasable(ctx, pool, id, known)
		if err != nil {
			return person, err
		}
		known = person.Traces
		err = eachBody(ctx, pool, known, func(bodies []store.NamingBody) error {
			for _, b := range bodies {
				known.AddBody(b.Body)
			}
			return nil
		})
		if err != nil {
			return person, err
		}
		if len(known.Sure)+len(known.Likely) == len(person.Traces.Sure)+len(person.Traces.Likely) {
			return person, nil
		}
	}
}

// eachBody gives pages of the bodies that name the person.
func eachBody(ctx context.Context, pool *pgxpool.Pool, traces clerksync.Traces, take func([]store.NamingBody) error) error {
	var after store.NamingBody
	for {
		page, err := store.BodiesNaming(ctx, pool, traces, after, erasePage)
		if err != nil {
			return err
		}
		more := len(page) == erasePage
		if more {
			after = page[erasePage-1]
		}
		err = take(slices.DeleteFunc(page, func(b store.NamingBody) bool { return !traces.InBody(b.Body) }))
		if err != nil || !more {
			return err
		}
	}
}

// bodies counts the bodies that name the person, and returns the svix-ids of those that don't wait.
func (done *Erasure) bodies(ctx context.Context, pool *pgxpool.Pool, traces clerksync.Traces) (svixIDs []string, err error) {
	err = eachBody(ctx, pool, traces, func(bodies []store.NamingBody) error {
		for _, b := range bodies {
			if b.Waiting {
				done.Waiting++
			} else {
				svixIDs = append(svixIDs, b.SvixID)
			}
		}
		return nil
	})
	done.Bodies = len(svixIDs)
	return svixIDs, err
}

// entries erases from the audit entries after an id, and returns the last id that it looked at.
// Each run appends a voucher, also if there was nothing to erase: that the person was erased is
// recorded.
func (done *Erasure) entries(ctx context.Context, pool *pgxpool.Pool, traces clerksync.Traces, after int64) (last int64, err error) {
	vouched := after > 0 || done.DryRun
	for last = after; ; {
		page, err := store.EntriesNaming(ctx, pool, traces, last, erasePage)
		if err != nil {
			return last, err
		}
		var left []clerksync.LoggedEntry
		for _, e := range page {
			if e, changed := traces.Erase(e); changed {
				left = append(left, e)
			}
			last = e.ID
		}
		done.Entries += len(left)
		for len(left) > 0 && !done.DryRun {
			some := left[:min(len(left), eraseEntries)]
			left, vouched = left[len(some):], true
			if err := eraseFrom(ctx, pool, cmp.Or(done.UserID, done.Invitation), some); err != nil {
				return last, err
			}
		}
		if len(page) < erasePage {
			break
		}
	}
	if !vouched {
		err = eraseFrom(ctx, pool, cmp.Or(done.UserID, done.Invitation), nil)
	}
	return last, err
}

func eraseFrom(ctx context.Context, pool *pgxpool.Pool, id string, left []clerksync.LoggedEntry) error {
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if err := store.LockVouching(ctx, tx); err != nil {
			return err
		}
		return store.EraseEntries(ctx, tx, id, left)
	})
	if errors.Is(err, store.ErrRaced) {
		return fmt.Errorf("the log was cut, or another person erased from it, meanwhile; run the erasure again: %w", err)
	}
	return err
}

// eraseAgain deletes the bodies of deliveries that came since an erasure, or waited then, and name
// the person.
func eraseAgain(ctx context.Context, pool *pgxpool.Pool) error {
	check, err := store.BeginLateCheck(ctx, pool)
	if err != nil || check.People == 0 {
		return err
	}
	through := check.Began.Add(-checkMargin)
	after := store.NamingBody{ReceivedAt: check.Since}
	for pages := 1; ; pages++ {
		page, err := store.EraseLateBodies(ctx, pool, after, erasePage)
		if err != nil {
			return err
		}
		if page.Waiting != nil && page.Waiting.Before(through) {
			through = *page.Waiting
		}
		if page.Seen < erasePage {
			return store.NoteLateCheck(ctx, pool, check, through)
		}
		after = page.Last
		if pages%checkNote == 0 && after.ReceivedAt.Before(through) {
			if err := store.NoteLateCheck(ctx, pool, check, after.ReceivedAt); err != nil {
				return err
			}
		}
	}
}
