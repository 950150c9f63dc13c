package merge

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// Observed is what Clerk's API showed at one time.
type Observed struct {
	Facts   []clerksync.Facts
	AskedAt time.Time // by the database's clock, before Clerk was asked
	Cause   string    // the sweep, look-up or command that asked
	// Lags say how far Clerk's reads may be behind. [Follow] needs them. With the zero value,
	// [Follow] isn't called: the answer to a command isn't a read.
	Lags Lags
	// Command is the id of the command that this is the answer to. The command's outcome is
	// recorded even if the mirror knows everything already. Optional.
	Command string
	// SpareNewer leaves alone what changed here after AskedAt, and reports doubtful objects. Sweeps
	// set it, because they asked a while ago.
	SpareNewer bool
	// Overrule merges the facts whatever the versions here say. A look-up must have confirmed them.
	Overrule bool
	// DryRun locks and writes nothing.
	DryRun bool
}

// Merged is what came of an observation.
type Merged struct {
	clerksync.Changes

	Facts []clerksync.Facts // that were merged, because the mirror didn't know them
	// Doubtful are the objects whose later version here contradicts Clerk, and the memberships that
	// an ended one of their pair outranks. It is filled only with SpareNewer.
	Doubtful []clerksync.Reference
}

// Observation merges what Clerk's API showed, within the caller's transaction. If the mirror knows
// everything already, it locks and writes nothing.
func Observation(ctx context.Context, tx pgx.Tx, o Observed) (m Merged, err error) {
	m.Facts = o.Facts
	lock := store.LockMirror
	if !o.Overrule {
		known, err := m.compare(ctx, tx, o)
		if err != nil {
			return m, err
		}
		lock = known.Lock
	}
	if len(m.Facts) == 0 && o.Command == "" {
		return m, nil
	}
	if o.DryRun {
		lock = store.ReadMirror
	}
	locked, err := m.take(ctx, tx, o, lock)
	if err != nil {
		return m, err
	}
	observe := locked.ObserveAll
	if o.Overrule {
		observe = locked.OverruleAll
	}
	m.Changes = observe(m.Facts, o.AskedAt.UnixMilli(), o.Cause)
	if o.DryRun {
		return m, nil
	}
	writes := store.Writes{Entries: m.Entries, Changed: m.Mirror, Recorded: o.Command}
	return m, store.Write(ctx, tx, locked, writes, o.AskedAt)
}

// compare finds the facts that the mirror doesn't know, and the doubtful objects. It returns what
// the mirror knows of them.
func (m *Merged) compare(ctx context.Context, tx pgx.Tx, o Observed) (known store.Locked, err error) {
	var shadowed []string
	if o.Lags != (Lags{}) {
		followed, err := Follow(ctx, tx, o.Facts, o.AskedAt, o.Lags)
		if err != nil {
			return known, err
		}
		o.Facts, shadowed = followed.Facts, followed.Shadowed
	}
	if known, err = store.ReadMirror(ctx, tx, o.Facts); err != nil {
		return known, err
	}
	compared := known.Compare(o.Facts)
	m.Facts = compared.Unknown
	if !o.SpareNewer {
		return known, nil
	}
	for _, f := range o.Facts {
		if compared.Contradicted[f.Subject] || slices.Contains(shadowed, f.Subject) {
			m.Doubtful = append(m.Doubtful, f.Reference())
		}
	}
	if len(m.Doubtful) == 0 {
		return known, nil
	}
	ids := make([]string, len(m.Doubtful))
	for i, ref := range m.Doubtful {
		ids[i] = ref.ID
	}
	changed, err := store.ChangedAfter(ctx, tx, ids, o.AskedAt)
	m.Doubtful = slices.DeleteFunc(m.Doubtful, func(ref clerksync.Reference) bool { return slices.Contains(changed, ref.ID) })
	return known, err
}

// locker reads the objects of facts from the mirror, and locks them unless this is a dry run.
type locker func(ctx context.Context, db store.DBTX, facts []clerksync.Facts) (store.Locked, error)

// take locks the objects of m.Facts. With SpareNewer it drops the facts whose objects changed here
// meanwhile.
func (m *Merged) take(ctx context.Context, tx pgx.Tx, o Observed, lock locker) (store.Locked, error) {
	locked, err := lock(ctx, tx, m.Facts)
	if err != nil || !o.SpareNewer {
		return locked, err
	}
	var subjects []string // only these can have changed: if another transaction adds a row now, saving fails
	for _, f := range m.Facts {
		if locked.Has(f.Subject) {
			subjects = append(subjects, f.Subject)
		}
	}
	if len(subjects) == 0 {
		return locked, nil
	}
	changed, err := store.ChangedAfter(ctx, tx, subjects, o.AskedAt)
	m.Facts = slices.DeleteFunc(slices.Clone(m.Facts), func(f clerksync.Facts) bool { return slices.Contains(changed, f.Subject) })
	return locked, err
}

// Read decodes the answer to a look-up. It leaves out objects that can't be read, and fails if none
// can.
func Read(resource clerksync.Resource, objects []json.RawMessage, askedAt time.Time, cause string) ([]clerksync.Facts, error) {
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
