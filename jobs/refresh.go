package jobs

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// RefresherConfig configures a [Refresher].
type RefresherConfig struct {
	// Pool is where the mirror is changed.
	Pool *pgxpool.Pool
	// Directory is Clerk.
	Directory Directory
	// Allowed says whether Clerk may be asked: the secret key must be of the mirror's instance. It is asked each time.
	Allowed func() error
	// UserMemberships lists what one user belongs to.
	UserMemberships func(ctx context.Context, userID string) ([]json.RawMessage, error)
}

// Refresher asks Clerk about one user at the moment at which the answer matters: somebody who has just joined is here before
// the webhook is. It never lifts a tombstone: a look-up made right after a removal may still show the member.
type Refresher struct {
	cfg RefresherConfig
	db  shared
}

// refreshConns is how many of the pool's connections change the mirror for look-ups at once: workers need the others.
const refreshConns = 3

// NewRefresher returns a refresher.
func NewRefresher(cfg RefresherConfig) (*Refresher, error) {
	switch {
	case cfg.Pool == nil:
		return nil, errors.New("refresher: Pool is missing")
	case cfg.Directory == nil:
		return nil, errors.New("refresher: Directory is missing")
	case cfg.Allowed == nil:
		return nil, errors.New("refresher: Allowed is missing")
	case cfg.UserMemberships == nil:
		return nil, errors.New("refresher: UserMemberships is missing")
	}
	return &Refresher{cfg: cfg, db: shared{pool: cfg.Pool, shares: store.NewShares(1), all: store.NewShares(refreshConns)}}, nil
}

// Refresh brings what Clerk knows of a user in an organization into the mirror. It returns nil once that is done, whatever
// it is.
func (r *Refresher) Refresh(ctx context.Context, userID, organizationID string) error {
	return r.refresh(ctx, organizationID, func(ctx context.Context) ([]json.RawMessage, error) {
		return r.cfg.Directory.Find(ctx, clerksync.ResourceMembership, clerksync.Reference{OrganizationID: organizationID, UserID: userID})
	})
}

// RefreshUser brings all of a user's memberships at Clerk into the mirror.
func (r *Refresher) RefreshUser(ctx context.Context, userID string) error {
	return r.refresh(ctx, userID, func(ctx context.Context) ([]json.RawMessage, error) { return r.cfg.UserMemberships(ctx, userID) })
}

func (r *Refresher) refresh(ctx context.Context, workspace string, ask func(context.Context) ([]json.RawMessage, error)) error {
	if err := r.cfg.Allowed(); err != nil {
		return err
	}
	askedAt, err := store.Now(ctx, r.cfg.Pool)
	if err != nil {
		return err
	}
	objects, err := ask(ctx)
	if err != nil {
		return fmt.Errorf("look up memberships: %w", err)
	}
	cause := clerksync.LookupCause(rand.Text())
	facts, err := read(clerksync.ResourceMembership, objects, askedAt, cause)
	if err != nil {
		return err
	}
	users, err := r.strangers(ctx, facts, askedAt, cause)
	if err != nil {
		return err
	}
	db := r.db
	db.workspace = workspace
	return observe(ctx, db, append(users, facts...), askedAt, cause)
}

// strangers looks up the users of whom the mirror knows at most nested copies: those needn't say that somebody is banned.
func (r *Refresher) strangers(ctx context.Context, memberships []clerksync.Facts, askedAt time.Time, cause string) ([]clerksync.Facts, error) {
	if len(memberships) == 0 {
		return nil, nil
	}
	userID := memberships[0].Reference().UserID // all are of one user
	known, err := store.ReadMirror(ctx, r.cfg.Pool, memberships)
	if err != nil {
		return nil, err
	}
	user := known.Users[userID]
	if clerksync.Newest(user.Registers()).Rank == clerksync.RankFull {
		return nil, nil
	}
	objects, err := r.cfg.Directory.Find(ctx, clerksync.ResourceUser, clerksync.Reference{ID: userID})
	if err != nil {
		return nil, fmt.Errorf("look up user: %w", err)
	}
	return read(clerksync.ResourceUser, objects, askedAt, cause)
}

// read decodes what a look-up showed. What can't be read is left out, unless it is all of it.
func read(resource clerksync.Resource, objects []json.RawMessage, askedAt time.Time, cause string) ([]clerksync.Facts, error) {
	var facts []clerksync.Facts
	var unreadable error
	for _, raw := range objects {
		f, err := clerksync.DecodeObservation(clerksync.Observation{
			Resource: resource, Object: raw, AskedAt: askedAt.UnixMilli(), Cause: cause,
		})
		if err != nil {
			unreadable = fmt.Errorf("read %s: %w", resource, err)
			continue
		}
		facts = append(facts, f)
	}
	if len(facts) == 0 {
		return nil, unreadable
	}
	return facts, nil
}

// observe merges what a look-up showed into the mirror.
func observe(ctx context.Context, db shared, facts []clerksync.Facts, askedAt time.Time, cause string) error {
	return db.raced(ctx, func(tx pgx.Tx) error { return observeIn(ctx, tx, facts, askedAt, cause) })
}

func observeIn(ctx context.Context, tx pgx.Tx, facts []clerksync.Facts, askedAt time.Time, cause string) error {
	followed, err := followers(ctx, tx, answer{facts: facts, askedAt: askedAt}, lags{settle: defaultSettle, reads: defaultReadLag})
	if err != nil {
		return err
	}
	facts = followed.facts
	known, err := store.ReadMirror(ctx, tx, facts)
	if err != nil {
		return err
	}
	news := known.News(facts)
	if len(news) == 0 {
		return nil
	}
	locked, err := store.LockMirror(ctx, tx, news)
	if err != nil {
		return err
	}
	changes := locked.ObserveAll(news, askedAt.UnixMilli(), cause)
	if err := store.SaveMirror(ctx, tx, locked, changes.Mirror); err != nil {
		return err
	}
	return store.Finish(ctx, tx, store.Writes{Entries: changes.Entries, Changed: changes.Mirror}, askedAt)
}
