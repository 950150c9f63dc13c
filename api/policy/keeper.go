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
	// defaultSaveEvery is the time between tries to save while the database can't be written to.
	defaultSaveEvery = 10 * time.Second
)

// KeeperConfig is what a Keeper needs.
type KeeperConfig struct {
	// Source names the origin of the policy in the log. Required.
	Source string
	// Read reads the policy. It ends with ctx at the latest. Required.
	Read func(ctx context.Context) (Policy, error)
	// Save saves a policy that was read at that time, in one transaction, as [store.SaveGrants]
	// does. The database's SQL functions then use it. Required.
	Save func(ctx context.Context, grants clerksync.Grants, readAt time.Time) (store.SavedGrants, error)
	// Saved returns the policy that a process saved last; none if none did. Required.
	Saved func(ctx context.Context) (clerksync.Grants, error)
	// Left lists workspaces that a change leaves without a manager, at most the given number.
	// Required.
	Left func(ctx context.Context, change clerksync.GrantsChange, limit int) ([]store.LeftWorkspace, error)
	// Logger gets a line for each policy that was read or saved, and for each failure. Required.
	Logger *slog.Logger
	// CheckTimeout bounds the search for such workspaces. Defaults to 20 seconds.
	CheckTimeout time.Duration
	// SaveEvery is the time between tries to save after a failure. Defaults to 10 seconds.
	SaveEvery time.Duration
}

// Keeper holds the policy of a process. It reads the policy again on request, and saves it for the
// database's SQL functions. Policy, Refused and Reload are safe for concurrent use.
type Keeper struct {
	cfg     KeeperConfig
	current atomic.Pointer[Policy]
	refused atomic.Pointer[error] // why another policy is in force than the one that was read last; nil if it isn't
	reloads chan struct{}         // holds one: several calls need only one more reading
	known   bool                  // whether a policy of this process was saved
}

// NewKeeper reads the policy and returns its keeper. Nothing is saved before [Keeper.Keep].
func NewKeeper(ctx context.Context, cfg KeeperConfig) (*Keeper, error) {
	k := newKeeper(cfg)
	began := time.Now() // the beginning, because the file may change during the read
	policy, err := cfg.Read(ctx)
	if err != nil {
		return nil, err
	}
	k.use(ctx, policy, began)
	return k, nil
}

func newKeeper(cfg KeeperConfig) *Keeper {
	if cfg.SaveEvery == 0 {
		cfg.SaveEvery = defaultSaveEvery
	}
	if cfg.CheckTimeout == 0 {
		cfg.CheckTimeout = defaultCheckTimeout
	}
	return &Keeper{cfg: cfg, reloads: make(chan struct{}, 1)}
}

// Policy returns the policy in force. It must not be changed.
func (k *Keeper) Policy() *Policy { return k.current.Load() }

// Reload makes the keeper read the policy again, in the background. It never blocks.
func (k *Keeper) Reload() {
	select {
	case k.reloads <- struct{}{}:
	default:
	}
}

// Keep saves the policy, and reads and saves it again at each [Keeper.Reload], until stop is
// called. If the database can't be written to, saving is tried again in the background.
func (k *Keeper) Keep(ctx context.Context) (stop func()) {
	saved := k.Refused() != nil || k.save(ctx) // what was refused isn't saved, and the other one is
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var keeping sync.WaitGroup
	keeping.Go(func() { k.run(ctx, saved) })
	return func() { cancel(); keeping.Wait() }
}

// read reads the policy and puts it in force. If it can't be read, or is refused, the one in force
// stays.
func (k *Keeper) read(ctx context.Context) error {
	began := time.Now() // the beginning, because the file may change during the read
	policy, err := k.cfg.Read(ctx)
	if err == nil {
		err = k.check(ctx, k.Policy().Grants, policy)
	}
	if err != nil {
		k.refused.Store(&err)
		return err
	}
	k.refused.Store(nil)
	k.use(ctx, policy, began)
	return nil
}

func (k *Keeper) use(ctx context.Context, policy Policy, readAt time.Time) {
	for _, warning := range policy.Warnings {
		k.cfg.Logger.WarnContext(ctx, "policy: "+warning)
	}
	policy.ReadAt = readAt
	k.current.Store(&policy)
	k.cfg.Logger.InfoContext(ctx, "policy read", "source", k.cfg.Source, "roles", len(policy.Grants))
}

// run reads the policy at each Reload, and tries to save it until that succeeds.
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
				k.complain(ctx, err)
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

// save makes the database's SQL functions use the policy in force, unless another process has read
// a different policy more recently. It reports whether no other try is needed.
func (k *Keeper) save(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	saved, err := k.cfg.Save(ctx, k.Policy().Grants, k.Policy().ReadAt)
	switch {
	case err != nil:
		k.cfg.Logger.WarnContext(ctx, "policy not saved yet: the database's SQL functions may use a different one", "error", err)
		return false
	case saved.Overtaken:
		k.cfg.Logger.WarnContext(ctx, "policy not saved: another instance has read a different policy more recently, and the database's SQL functions use that one",
			"source", k.cfg.Source)
		return true
	case saved.Changed && !k.known && len(saved.Before) > 0:
		k.cfg.Logger.WarnContext(ctx, "the database had another policy: its SQL functions use this one from now on. "+
			"Reload the policy of instances that still have the other one", "source", k.cfg.Source)
	case saved.Changed:
		k.cfg.Logger.InfoContext(ctx, "policy saved", "source", k.cfg.Source)
	}
	k.known = true
	return true
}
