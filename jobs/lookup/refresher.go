package lookup

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/callmine/rolecall/jobs/merge"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// Clerk is the part of Clerk's Backend API that is about one user. Its errors wrap those of package
// sync.
type Clerk interface {
	// Find looks one object up. It returns none only if Clerk says that there is none.
	Find(ctx context.Context, r clerksync.Resource, ref clerksync.Reference) ([]json.RawMessage, error)
	// UserMemberships lists the memberships of one user.
	UserMemberships(ctx context.Context, userID string) ([]json.RawMessage, error)
}

// RefresherConfig configures a [Refresher].
type RefresherConfig struct {
	// Pool is where the mirror is changed.
	Pool *pgxpool.Pool
	// Clerk is asked about users.
	Clerk Clerk
	// Allowed says whether Clerk may be asked: the secret key must be of the mirror's instance. It
	// is called before each look-up.
	Allowed func() error
}

// Refresher asks Clerk about one user at the moment at which the answer matters. So a user who has
// just joined is admitted before the webhook arrives. It never lifts a tombstone: a look-up made
// right after a removal may still show the member.
type Refresher struct {
	cfg  RefresherConfig
	pool *merge.Pool
}

// lookUpConns is how many of the pool's connections look-ups use at once to change the mirror.
// Workers need the others.
const lookUpConns = 3

// NewRefresher returns a refresher.
func NewRefresher(cfg RefresherConfig) (*Refresher, error) {
	switch {
	case cfg.Pool == nil:
		return nil, errors.New("refresher: Pool is missing")
	case cfg.Clerk == nil:
		return nil, errors.New("refresher: Clerk is missing")
	case cfg.Allowed == nil:
		return nil, errors.New("refresher: Allowed is missing")
	}
	return &Refresher{cfg: cfg, pool: merge.NewPool(cfg.Pool, lookUpConns)}, nil
}

// Refresh merges Clerk's answer about a user in an organization into the mirror. It returns nil
// once the answer is committed, whatever it is.
func (r *Refresher) Refresh(ctx context.Context, userID, organizationID string) error {
	return r.lookUp(ctx, organizationID, func(ctx context.Context) ([]json.RawMessage, error) {
		return r.cfg.Clerk.Find(ctx, clerksync.ResourceMembership, clerksync.Reference{OrganizationID: organizationID, UserID: userID})
	})
}

// RefreshUser merges all memberships that a user has at Clerk into the mirror.
func (r *Refresher) RefreshUser(ctx context.Context, userID string) error {
	return r.lookUp(ctx, userID, func(ctx context.Context) ([]json.RawMessage, error) { return r.cfg.Clerk.UserMemberships(ctx, userID) })
}

func (r *Refresher) lookUp(ctx context.Context, workspace string, ask func(context.Context) ([]json.RawMessage, error)) error {
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
	facts, err := merge.Read(clerksync.ResourceMembership, objects, askedAt, cause)
	if err != nil {
		return err
	}
	account, err := r.account(ctx, facts, askedAt, cause)
	if err != nil {
		return err
	}
	return merge.Lookup(ctx, r.pool, workspace, merge.Observed{Facts: append(account, facts...), AskedAt: askedAt, Cause: cause})
}

// account looks up the memberships' user if the mirror has only nested copies of that user. A
// nested copy may leave out that the account is banned.
func (r *Refresher) account(ctx context.Context, memberships []clerksync.Facts, askedAt time.Time, cause string) ([]clerksync.Facts, error) {
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
	objects, err := r.cfg.Clerk.Find(ctx, clerksync.ResourceUser, clerksync.Reference{ID: userID})
	if err != nil {
		return nil, fmt.Errorf("look up user: %w", err)
	}
	return merge.Read(clerksync.ResourceUser, objects, askedAt, cause)
}
