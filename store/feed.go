package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// FeedQuery selects a page of the change feed.
type FeedQuery struct {
	After  FeedPlace
	Latest bool // an empty page instead, after all changes that are published
	// OrganizationIDs are the organizations whose changes are wanted, beside those of the whole
	// instance. Nil means all.
	OrganizationIDs []string
	Limit           int
}

// Following returns the query for what follows a page.
func (q FeedQuery) Following(page FeedPage) FeedQuery {
	q.After, q.Latest = page.Next, false
	return q
}

// FeedEntry is a published change.
type FeedEntry struct {
	clerksync.LoggedEntry

	Revision int64 // at which it was in force; 0 for the whole instance
	Place    FeedPlace
}

// FeedPage is a page of the change feed.
type FeedPage struct {
	Entries       []FeedEntry
	Next          FeedPlace // where the next page begins
	More          bool      // there is a next page already
	CompleteUntil time.Time // what was committed before is on this page or an earlier one
	Last          FeedMark  // of the whole feed
	Unpublished   bool      // more was committed
}

// FeedMark is the last number that was given, and when.
type FeedMark struct {
	Number      int64
	PublishedAt time.Time
}

// ReadFeed returns a page of the change feed. Its transaction must see one moment, so that no
// change is published between what it reads and what it says to be complete. The error is
// [ErrPlaceExpired] if the place doesn't count any more.
func ReadFeed(ctx context.Context, tx DBTX, q FeedQuery) (page FeedPage, err error) {
	now, err := queries().FeedState(ctx, tx, dbsqlc.FeedStateParams{
		History: pgtype.UUID{Bytes: q.After.History, Valid: true}, Number: q.After.Number, PublishedAt: q.After.PublishedAt, Cut: q.After.Cut,
	})
	if err != nil {
		return page, fmt.Errorf("read state of the change feed: %w", err)
	}
	if q.After.Number > 0 && !now.Counts { // the beginning is in every history
		return page, ErrPlaceExpired
	}
	place := FeedPlace{Number: now.Number, History: now.History.Bytes, PublishedAt: now.PublishedAt.UTC(), Cut: now.Cuts}
	page = FeedPage{Next: place, CompleteUntil: now.CompleteUntil.UTC(), Last: FeedMark{place.Number, place.PublishedAt}, Unpublished: now.Unpublished}
	if q.Latest {
		return page, nil
	}
	found, err := feedRows(ctx, tx, q)
	if err != nil {
		return page, err
	}
	if len(found) > q.Limit {
		page.More = true
		page.CompleteUntil = found[q.Limit].CompleteBefore.UTC()
		found = found[:q.Limit]
	}
	for _, r := range found {
		place.Number, place.PublishedAt = r.Number, r.PublishedAt.UTC()
		page.Entries = append(page.Entries, FeedEntry{LoggedEntry: loggedEntry(r.RolecallAuditLog), Revision: r.Revision, Place: place})
	}
	if page.More {
		page.Next = place
	}
	return page, nil
}

func feedRows(ctx context.Context, tx DBTX, q FeedQuery) (rows []dbsqlc.ChangesOfAllRow, err error) {
	if q.OrganizationIDs == nil {
		rows, err = queries().ChangesOfAll(ctx, tx, dbsqlc.ChangesOfAllParams{AfterNumber: q.After.Number, PageSize: pageSize(q.Limit + 1)})
	} else {
		var some []dbsqlc.ChangesOfRow
		some, err = queries().ChangesOf(ctx, tx, dbsqlc.ChangesOfParams{
			OrganizationIds: append([]string{allOrganizations}, q.OrganizationIDs...), AfterNumber: q.After.Number, PageSize: pageSize(q.Limit + 1),
		})
		for _, r := range some {
			rows = append(rows, dbsqlc.ChangesOfAllRow(r))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read the change feed: %w", err)
	}
	return rows, nil
}

// FeedProgress returns the last number that was given, and whether entries wait for one.
func FeedProgress(ctx context.Context, db DBTX) (last FeedMark, waiting bool, err error) {
	r, err := queries().FeedProgress(ctx, db)
	if err != nil {
		return FeedMark{}, false, fmt.Errorf("read progress of the change feed: %w", err)
	}
	return FeedMark{r.Number, r.PublishedAt.UTC()}, r.Waiting, nil
}

// ChangedSince returns whose changes were published after one number and up to another. All says
// that it can't be told: changes of the whole instance are among them, or very many, or the first
// number isn't in this history.
func ChangedSince(ctx context.Context, db DBTX, after, through FeedMark) (organizationIDs []string, all bool, err error) {
	r, err := queries().ChangedSince(ctx, db, dbsqlc.ChangedSinceParams{
		AfterNumber: after.Number, PublishedAt: after.PublishedAt, Through: through.Number,
	})
	if err != nil {
		return nil, false, fmt.Errorf("read whose changes were published: %w", err)
	}
	all = !r.Follows || through.Number-after.Number > publishEntries || slices.Contains(r.OrganizationIds, allOrganizations)
	return r.OrganizationIds, all, nil
}

// UnpublishedSince returns when the change was recorded that has waited longest for its number;
// zero if none waits.
func UnpublishedSince(ctx context.Context, db DBTX) (time.Time, error) {
	at, err := queries().UnpublishedSince(ctx, db)
	return at, atMostOneRow(err, "find the oldest unpublished change")
}

const (
	// publishEntries is how many entries one transaction numbers, give or take those of one statement.
	// It takes some fifty milliseconds. publishStatements is from how many statements they are.
	publishEntries    = 2000
	publishStatements = 500
	// oldPage is how many entries of one chain that are older than the feed are read at a time.
	oldPage = 1000
)

// Published says what [Publish] did.
type Published struct {
	Last    FeedMark
	Changes int64         // that got a number
	Waited  time.Duration // how long the oldest of them had been recorded; 0 for entries that are older than the feed
	More    bool          // it should be called again

	Busy    bool // another transaction publishes: nothing was done
	Unnoted bool // nobody has noted a failover or a restored backup yet: nothing was done
}

// Publish numbers entries that are committed, in a transaction of its own, which must read what was
// committed before each statement, and whose commit must be durable. It does nothing while another
// transaction publishes, and as long as nobody has noted a failover: the numbers could be those of
// changes that were lost.
func Publish(ctx context.Context, tx DBTX) (done Published, err error) {
	feed, err := queries().LockFeed(ctx, tx)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Published{Busy: true}, nil
	case err != nil:
		return done, fmt.Errorf("lock the change feed: %w", err)
	case !feed.Current.Valid:
		return Published{Unnoted: true}, nil
	}
	if feed.History != feed.Current {
		if err := beginHistory(ctx, tx, feed.Current); err != nil {
			return done, err
		}
	}
	if feed.OldThrough != nil {
		return publishOldEntries(ctx, tx, feed)
	}
	r, err := queries().PublishChanges(ctx, tx, dbsqlc.PublishChangesParams{Statements: publishStatements, MostEntries: publishEntries})
	if err != nil {
		return done, fmt.Errorf("publish changes: %w", err)
	}
	return Published{Last: FeedMark{r.Number, r.PublishedAt.UTC()}, Changes: r.Changes, Waited: time.Duration(r.Waited * float64(time.Second)), More: r.More}, nil
}

// ErrUnnoted says that no process has noted yet which server of Postgres this is.
var ErrUnnoted = errors.New("nobody has noted this server of Postgres yet")

// followHistory begins the history of this server before a cut gets its number: that of a lost one
// could be given again otherwise.
func followHistory(ctx context.Context, tx DBTX) error {
	feed, err := queries().LockFeedHistory(ctx, tx)
	switch {
	case err != nil:
		return fmt.Errorf("read the history of the change feed: %w", err)
	case feed.History == feed.Current || !feed.History.Valid:
		return nil
	case !feed.Current.Valid:
		return ErrUnnoted
	default:
		return beginHistory(ctx, tx, feed.Current)
	}
}

// beginHistory ends the history under which numbers were given so far.
func beginHistory(ctx context.Context, tx DBTX, next pgtype.UUID) error {
	err := queries().EndHistory(ctx, tx)
	if err == nil {
		err = queries().BeginHistory(ctx, tx, next)
	}
	if err != nil {
		return fmt.Errorf("begin a history of the change feed: %w", err)
	}
	return nil
}

// publishOldEntries numbers the next entries that are older than the feed: chain by chain, the
// instance's own at last. So the end of a user comes after the memberships that it ends.
func publishOldEntries(ctx context.Context, tx DBTX, feed dbsqlc.LockFeedRow) (done Published, err error) {
	done = Published{More: true}
	chain, seq := feed.OldChain, feed.OldSeq
	if chain == nil {
		if chain, err = nextOldChain(ctx, tx, allOrganizations); err != nil {
			return done, err
		}
	}
	through := feed.OldThrough
	for done.Changes < publishEntries && through != nil {
		r, err := queries().PublishOldEntries(ctx, tx, dbsqlc.PublishOldEntriesParams{
			OrganizationID: *chain, AfterSeq: seq, Through: *through, AfterNumber: feed.Number + done.Changes, PageSize: oldPage,
		})
		if err != nil {
			return done, fmt.Errorf("publish old entries: %w", err)
		}
		seq = r.Reached
		done.Changes += r.Places
		switch {
		case r.Places == oldPage:
		case *chain == allOrganizations:
			through = nil
		default:
			seq = 0
			if chain, err = nextOldChain(ctx, tx, *chain); err != nil {
				return done, err
			}
		}
	}
	moved, err := queries().MoveOld(ctx, tx, dbsqlc.MoveOldParams{Number: feed.Number + done.Changes, OldThrough: through, OldChain: chain, OldSeq: seq})
	if err != nil {
		return done, fmt.Errorf("note progress of old entries: %w", err)
	}
	done.Last = FeedMark{moved.Number, moved.PublishedAt.UTC()}
	return done, nil
}

// nextOldChain returns the chain after one, in the order of ids; the instance's own after the last.
func nextOldChain(ctx context.Context, tx DBTX, after string) (*string, error) {
	id, err := queries().NextOldChain(ctx, tx, after)
	return &id, atMostOneRow(err, "find the next chain of the audit log")
}
