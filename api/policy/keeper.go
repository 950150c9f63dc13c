package policy

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// saveTimeout bounds one try to save the policy. It takes a millisecond.
	saveTimeout = 3 * time.Second
	// defaultSaveEvery is how often saving is tried again while the database can't be written to.
	defaultSaveEvery = 10 * time.Second
)

// KeeperConfig is what a Keeper needs.
type KeeperConfig struct {
	// Source names where the policy is read from, in the log. Required.
	Source string
	// Read reads the policy, for no longer than ctx lasts. Required.
	Read func(ctx context.Context) (Policy, error)
	// Save makes the database's SQL functions go by a policy that was read then, in one
	// transaction, as [store.SaveGrants] does. Required.
	Save func(ctx context.Context, grants clerksync.Grants, readAt time.Time) (store.SavedGrants, error)
	// Logger is told what was read and saved, and what wasn't. Required.
	Logger *slog.Logger
	// SaveEvery is how often saving is tried again after it failed. Defaults to 10 seconds.
	SaveEvery time.Duration
}

// Keeper holds the policy that a process answers by, reads it again when it is told to, and tells
// it to the database's SQL functions. Grants and Reload are safe for concurrent use.
type Keeper struct {
	cfg     KeeperConfig
	current atomic.Pointer[Policy]
	reloads chan struct{} // holds one: reading once more after several calls is enough
	readAt  time.Time     // when the current one was read
	known   bool          // the database has had a policy of this process
}

// NewKeeper reads the policy, and returns its keeper. Nothing is saved before [Keeper.Keep].
func NewKeeper(ctx context.Context, cfg KeeperConfig) (*Keeper, error) {
	k := newKeeper(cfg)
	if err := k.read(ctx); err != nil {
		return nil, err
	}
	return k, nil
}

func newKeeper(cfg KeeperConfig) *Keeper {
	if cfg.SaveEvery == 0 {
		cfg.SaveEvery = defaultSaveEvery
	}
	return &Keeper{cfg: cfg, reloads: make(chan struct{}, 1)}
}

// Grants returns the policy in force.
func (k *Keeper) Grants() clerksync.Grants { return k.current.Load().Grants }

// Reload has the policy read again, in the background. It never blocks.
func (k *Keeper) Reload() {
	select {
	case k.reloads <- struct{}{}:
	default:
	}
}

// Keep saves the policy that was read, and reads and saves it again at each [Keeper.Reload], until
// stop is called. If the database can't be written to, saving is tried again in the background.
func (k *Keeper) Keep(ctx context.Context) (stop func()) {
	saved := k.save(ctx)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var keeping sync.WaitGroup
	keeping.Go(func() { k.run(ctx, saved) })
	return func() { cancel(); keeping.Wait() }
}

// read reads the policy, and puts it in force.
func (k *Keeper) read(ctx context.Context) error {
	began := time.Now() // not the end: the file may have been changed meanwhile
	policy, err := k.cfg.Read(ctx)
	if err != nil {
		return err
	}
	k.use(ctx, policy, began)
	return nil
}

func (k *Keeper) use(ctx context.Context, policy Policy, readAt time.Time) {
	for _, warning := range policy.Warnings {
		k.cfg.Logger.WarnContext(ctx, "policy: "+warning)
	}
	k.current.Store(&policy)
	k.readAt = readAt
	k.cfg.Logger.InfoContext(ctx, "policy read", "source", k.cfg.Source, "roles", len(policy.Grants))
}

// run reads the policy when it is told to, and tries to save it until that succeeds.
func (k *Keeper) run(ctx context.Context, saved bool) {
	ticker := time.NewTicker(k.cfg.SaveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.reloads:
			err := k.read(ctx)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				k.cfg.Logger.ErrorContext(ctx, "policy not read: the one in force stays", "error", err)
				continue
			}
			saved = k.save(ctx)
		case <-ticker.C:
			if !saved {
				saved = k.save(ctx)
			}
		}
	}
}

// save makes the database's SQL functions go by the policy in force, unless another process has
// read another one since. It reports whether it is done.
func (k *Keeper) save(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	saved, err := k.cfg.Save(ctx, k.Grants(), k.readAt)
	switch {
	case err != nil:
		k.cfg.Logger.WarnContext(ctx, "policy not saved: until it is, the database's SQL functions may go by another one", "error", err)
		return false
	case saved.Overtaken:
		k.cfg.Logger.WarnContext(ctx, "policy not saved: another instance has read another one since, which the database's SQL functions go by",
			"source", k.cfg.Source)
		return true
	case saved.Changed && !k.known && len(saved.Before) > 0:
		k.cfg.Logger.WarnContext(ctx, "the database had another policy: its SQL functions go by this one from now on. "+
			"Other instances that still have the other one should read theirs anew", "source", k.cfg.Source)
	case saved.Changed:
		k.cfg.Logger.InfoContext(ctx, "policy saved", "source", k.cfg.Source)
	}
	k.known = true
	return true
}
