package store

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// ErrCut says that the audit log doesn't go back to an instant any more: its oldest entries were
// cut.
var ErrCut = errors.New("the audit log was cut after that instant")

// vouchingLock is the advisory lock of cuts and erasures. The number is arbitrary; it must never
// change.
const vouchingLock = 0x726f6c6563616c6e // "rolecaln", next to the lock of taking over

// LockVouching lets one transaction at a time cut or erase. Readers and writers of the log don't
// wait.
func LockVouching(ctx context.Context, tx DBTX) error {
	if err := queries().LockVouching(ctx, tx, vouchingLock); err != nil {
		return fmt.Errorf("lock cuts and erasures: %w", err)
	}
	return nil
}

// ChainToCut is a chain of the audit log, and whether it has entries that are due to be cut.
type ChainToCut struct {
	OrganizationID string
	Due            bool
}

// ChainsToCut lists at most limit chains by id, from the first one or after the given one. A chain
// is due if the first entry after its last cut happened before dueBefore.
func ChainsToCut(ctx context.Context, db DBTX, after *string, dueBefore time.Time, limit int) ([]ChainToCut, error) {
	p := dbsqlc.ChainsToCutParams{DueBefore: dueBefore, First: after == nil, PageSize: pageSize(limit)}
	if after != nil {
		p.After = *after
	}
	rows, err := queries().ChainsToCut(ctx, db, p)
	if err != nil {
		return nil, fmt.Errorf("list chains to cut: %w", err)
	}
	chains := make([]ChainToCut, len(rows))
	for i, r := range rows {
		chains[i] = ChainToCut{r.OrganizationID, r.Due}
	}
	return chains, nil
}

// PlannedCut is the next cut of one chain.
type PlannedCut struct {
	OrganizationID string
	clerksync.Cut

	Gone []int64 // audit_log.id of the entries that are deleted
	More bool    // there may be more to cut
}

// MostCut is how many entries of one chain a transaction deletes at most, give or take those about
// the same users.
const MostCut = 2000

// PlanCut plans the next cut of a chain: of entries that happened before an instant, up to the
// first one that didn't. It looks at some hundred entries, or as many as earlier cuts kept,
// [MostCut] at most. The last entry is never cut. It returns nil if there is nothing to cut.
func PlanCut(ctx context.Context, tx DBTX, organizationID string, before time.Time) (*PlannedCut, error) {
	const least = 500 // entries that a cut looks at
	last, err := LastAuditSeq(ctx, tx, organizationID)
	if err != nil {
		return nil, err
	}
	was, _, err := cutOf(ctx, tx, organizationID)
	if err != nil {
		return nil, err
	}
	kept, err := entriesBetween(ctx, tx, organizationID, 0, was.Seq, 1<<30)
	if err != nil {
		return nil, err
	}
	looksAt := min(max(least, len(kept)), MostCut)
	next, err := entriesBetween(ctx, tx, organizationID, was.Seq, last-1, looksAt)
	if err != nil {
		return nil, err
	}
	planned := &PlannedCut{OrganizationID: organizationID, More: len(next) == looksAt}
	if young := slices.IndexFunc(next, func(e clerksync.LoggedEntry) bool { return !e.At.Before(before) }); young >= 0 {
		next, planned.More = next[:young], false
	}
	holds, err := stillHolding(ctx, tx, organizationID, slices.Concat(kept, next))
	if err != nil {
		return nil, err
	}
	var sum clerksync.Kept
	seq, hash := was.Seq, was.Hash
	begun := map[string]bool{} // targets of entries that go: the others about them alone could say something else
	for _, e := range slices.Concat(kept, next) {
		switch {
		case holds[e.Seq]:
			sum.Add(e.Seq, e.Hash)
		case len(planned.Gone) >= MostCut && !begun[e.Target]: // it goes the next time
			sum.Add(e.Seq, e.Hash)
			planned.More = true
		default:
			planned.Gone = append(planned.Gone, e.ID)
			begun[e.Target] = begun[e.Target] || e.Action.AtClerk()
		}
	}
	if len(next) > 0 {
		seq, hash = next[len(next)-1].Seq, next[len(next)-1].Hash
	}
	if len(planned.Gone) == 0 && len(next) == 0 {
		return nil, nil
	}
	planned.Cut = sum.Cut(seq, hash)
	return planned, nil
}

// stillHolding returns the numbers of the entries that a cut must keep, of all up to the cut.
func stillHolding(ctx context.Context, tx DBTX, organizationID string, entries []clerksync.LoggedEntry) (map[int64]bool, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	late, err := queries().LateTargets(ctx, tx, dbsqlc.LateTargetsParams{
		OrganizationID: organizationID, At: clerksync.LastHappened(entries), AfterSeq: entries[len(entries)-1].Seq,
	})
	if err != nil {
		return nil, fmt.Errorf("read what later entries say of the time before a cut: %w", err)
	}
	var accounts clerksync.Accounts
	var inUse []int64
	if organizationID == "" {
		inUse, err = vouchersInUse(ctx, tx, entries)
	} else {
		err = reviewChain(ctx, tx, "", clerksync.RoleActions(), endOfTime(), accounts.Take)
	}
	if err != nil {
		return nil, err
	}
	return clerksync.CutAfter(organizationID, &accounts, entries, late, inUse)
}

func vouchersInUse(ctx context.Context, tx DBTX, entries []clerksync.LoggedEntry) ([]int64, error) {
	var vouchers []int64
	for _, e := range entries {
		if e.Action == clerksync.ActionOperatorCut || e.Action == clerksync.ActionOperatorErased {
			vouchers = append(vouchers, e.Seq)
		}
	}
	if vouchers == nil {
		return nil, nil
	}
	inUse, err := queries().VouchersInUse(ctx, tx, vouchers)
	if err != nil {
		return nil, fmt.Errorf("find vouchers in use: %w", err)
	}
	return inUse, nil
}

// entriesBetween returns the entries of a chain after one number and through another.
func entriesBetween(ctx context.Context, db DBTX, organizationID string, after, through int64, limit int) ([]clerksync.LoggedEntry, error) {
	rows, err := queries().EntriesBetween(ctx, db, dbsqlc.EntriesBetweenParams{
		OrganizationID: organizationID, AfterSeq: after, Through: through, PageSize: pageSize(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("read audit entries to cut: %w", err)
	}
	entries := make([]clerksync.LoggedEntry, len(rows))
	for i, r := range rows {
		entries[i] = clerksync.LoggedEntry{
			ID: r.ID, Seq: r.Seq, OrganizationID: organizationID, Actor: r.Actor, Action: clerksync.Action(r.Action), Target: r.Target,
			Before: r.Before, After: r.After, At: r.At, Hash: r.Hash,
		}
	}
	return entries, nil
}

// CutChains carries out cuts that were planned in the same transaction, which holds the lock of
// [LockVouching]. An entry of the instance's chain vouches for them; keys of deleted entries that
// products appended are forgotten. After the lock of the instance's chain, only the feed's follows.
// The error is [ErrUnnoted] if it is tried just after a failover.
func CutChains(ctx context.Context, tx DBTX, cuts []PlannedCut, before time.Time) error {
	if len(cuts) == 0 {
		return nil
	}
	var v clerksync.Voucher
	var gone []int64
	for _, c := range cuts {
		v.Cuts = append(v.Cuts, clerksync.CutVoucher{
			OrganizationID: c.OrganizationID, Through: c.Seq, Hash: hex.EncodeToString(c.Hash), Kept: c.Kept,
			Digest: hex.EncodeToString(c.Digest), Gone: int64(len(c.Gone)),
		})
		gone = append(gone, c.Gone...)
	}
	by, err := appendVoucher(ctx, tx, clerksync.ActionOperatorCut, "audit_log", clerksync.VoucherCause, v)
	if err != nil {
		return err
	}
	for _, c := range cuts {
		err := queries().MoveCut(ctx, tx, dbsqlc.MoveCutParams{
			OrganizationID: c.OrganizationID, Seq: c.Seq, Hash: c.Hash, Kept: c.Kept, Digest: c.Digest, Before: before, CutBy: by,
		})
		if err != nil {
			return fmt.Errorf("move cut of chain %q: %w", c.OrganizationID, err)
		}
	}
	if err := queries().DeleteKeysOf(ctx, tx, gone); err != nil {
		return fmt.Errorf("forget keys of cut entries: %w", err)
	}
	if err := followHistory(ctx, tx); err != nil {
		return err
	}
	deleted, err := queries().DeleteEntries(ctx, tx, gone)
	if err == nil && deleted != int64(len(gone)) {
		err = fmt.Errorf("%d of %d entries were there", deleted, len(gone))
	}
	if err != nil {
		return fmt.Errorf("delete cut entries: %w", err)
	}
	return nil
}

// appendVoucher appends an entry that vouches to the instance's chain, and returns its number.
func appendVoucher(ctx context.Context, tx DBTX, action clerksync.Action, target, cause string, data any) (int64, error) {
	text, err := json.Marshal(data)
	if err != nil {
		return 0, fmt.Errorf("encode voucher: %w", err)
	}
	seq, err := queries().AppendVoucher(ctx, tx, dbsqlc.AppendVoucherParams{Action: string(action), Target: target, Data: text, Cause: cause})
	if err != nil {
		return 0, fmt.Errorf("append %s to the audit log: %w", action, err)
	}
	return seq, nil
}

// cutOf returns where a chain was cut last, and the number of the voucher; zero if never.
func cutOf(ctx context.Context, db DBTX, organizationID string) (clerksync.Cut, int64, error) {
	r, err := queries().CutOf(ctx, db, organizationID)
	if errors.Is(err, pgx.ErrNoRows) {
		return clerksync.Cut{}, 0, nil
	}
	if err != nil {
		return clerksync.Cut{}, 0, fmt.Errorf("read cut of audit log: %w", err)
	}
	return clerksync.Cut{Seq: r.Seq, Hash: r.Hash, Kept: r.Kept, Digest: r.Digest}, r.CutBy, nil
}

// LogCutBefore returns the latest instant before which entries of the audit log may be missing: of
// one workspace's chain and the instance's, or of all chains with "". It is zero if none was cut.
func LogCutBefore(ctx context.Context, db DBTX, organizationID string) (time.Time, error) {
	ids := []string{"", organizationID}
	if organizationID == "" {
		before, err := queries().LatestCut(ctx, db)
		if err != nil {
			return time.Time{}, fmt.Errorf("read cuts of audit log: %w", err)
		}
		return before.UTC(), nil
	}
	var latest time.Time
	for _, id := range ids {
		r, err := queries().CutOf(ctx, db, id)
		if err := atMostOneRow(err, "read cut of audit log"); err != nil {
			return latest, err
		}
		if r.Before.After(latest) {
			latest = r.Before.UTC()
		}
	}
	return latest, nil
}

// vouchers reads the entries of the instance's chain that vouch. Of a batch of entries, most have
// the same one.
type vouchers map[int64]clerksync.Voucher

func (v vouchers) read(ctx context.Context, db DBTX, seq int64) (clerksync.Voucher, error) {
	if said, ok := v[seq]; ok {
		return said, nil
	}
	rows, err := queries().ChainLinks(ctx, db, dbsqlc.ChainLinksParams{FromSeq: seq, PageSize: 1})
	if err != nil && !unreadable(err) {
		return clerksync.Voucher{}, fmt.Errorf("read voucher: %w", err)
	}
	var said clerksync.Voucher
	if len(rows) == 1 && rows[0].Seq == seq {
		said = link(rows[0]).Voucher()
	}
	v[seq] = said
	return said, nil
}
