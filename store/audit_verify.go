package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// chainBatch is how many entries are verified at a time. Of the largest entries, these are a few
// megabytes.
const chainBatch = 200

// ChainReport is the result of verifying one organization's audit log.
type ChainReport struct {
	OrganizationID string // "" for entries of the whole instance
	Entries        int64  // entries that fitted
	Last           int64  // number of the last one that fitted
	Cut            int64  // number of the last entry that a cut may have taken; 0 if there was no cut
	Erased         int64  // of the entries that fitted, those from which something was erased
	Hash           []byte // of the last one that fitted
	Broken         *clerksync.Break
	More           bool // later entries weren't looked at
}

// VerifyBeginning verifies the first entries of an organization's audit log, some more than the
// given number at most. If the log has no more, it is [VerifyChain].
func VerifyBeginning(ctx context.Context, db DBTX, organizationID string, most int64) (ChainReport, error) {
	last, err := LastAuditSeq(ctx, db, organizationID)
	if err != nil {
		return ChainReport{}, err
	}
	if last <= most {
		return VerifyChain(ctx, db, organizationID, clerksync.Mark{})
	}
	f, err := follow(ctx, db, organizationID, clerksync.Mark{}, most)
	if err != nil {
		return ChainReport{}, err
	}
	return f.report(f.broken, true), nil
}

// VerifyChain computes the hashes of an organization's audit log anew, and reports the first entry
// that doesn't fit. The memory that it takes doesn't grow with the log. The noted mark also shows
// what the chain alone can't: that the chain was rebuilt or cut off before the mark. The
// transaction must see one state of the database throughout (repeatable read), because the log
// grows meanwhile.
func VerifyChain(ctx context.Context, db DBTX, organizationID string, noted clerksync.Mark) (ChainReport, error) {
	head, err := queries().ChainHead(ctx, db, organizationID)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) && !unreadable(err) { // without a head, any entry is one too many
		return ChainReport{}, fmt.Errorf("read head of audit log: %w", err)
	}
	f, err := follow(ctx, db, organizationID, noted, math.MaxInt64)
	if err != nil {
		return ChainReport{}, err
	}
	return f.report(f.chain.End(f.broken, head.Seq, head.Hash), false), nil
}

// following is a chain that is being verified.
type following struct {
	organizationID string
	chain          clerksync.Chain
	vouchers       vouchers
	broken         *clerksync.Break
	fitted, erased int64
}

func (f *following) report(broken *clerksync.Break, more bool) ChainReport {
	return ChainReport{
		OrganizationID: f.organizationID, Entries: f.fitted, Last: f.chain.Seq, Hash: f.chain.Hash, Cut: f.chain.Cut.Seq, Erased: f.erased,
		Broken: broken, More: more,
	}
}

// follow takes entry after entry of a chain until one doesn't fit. It ends after the batch in
// which most entries have fitted.
func follow(ctx context.Context, db DBTX, organizationID string, noted clerksync.Mark, most int64) (*following, error) {
	f := &following{organizationID: organizationID, chain: clerksync.Chain{Noted: noted}, vouchers: vouchers{}}
	cut, by, err := cutOf(ctx, db, organizationID)
	if err == nil && cut.Seq > 0 {
		var v clerksync.Voucher
		v, err = f.vouchers.read(ctx, db, by)
		f.chain.Cut, f.chain.Vouched = cut, v.VouchesFor(organizationID, cut)
	}
	if err == nil {
		f.broken, err = f.all(ctx, db, most)
	}
	if err != nil {
		return nil, fmt.Errorf("verify audit log: %w", err)
	}
	return f, nil
}

// all takes the entries. If one of a batch can't be read, it continues one by one.
func (f *following) all(ctx context.Context, db DBTX, most int64) (*clerksync.Break, error) {
	p := dbsqlc.ChainLinksParams{OrganizationID: f.organizationID, FromSeq: math.MinInt64, FromID: math.MinInt64, PageSize: chainBatch}
	for {
		rows, err := queries().ChainLinks(ctx, db, p)
		switch {
		case unreadable(err) && p.PageSize > 1:
			p.PageSize = 1
			continue
		case unreadable(err):
			return new(f.chain.Unreadable()), nil
		case err != nil:
			return nil, err
		}
		for _, row := range rows {
			broken, err := f.take(ctx, db, row)
			if broken != nil || err != nil {
				return broken, err
			}
			p.FromSeq, p.FromID = row.Seq, row.ID+1
		}
		if len(rows) < int(p.PageSize) || f.fitted >= most {
			return nil, nil
		}
	}
}

// take takes the next entry.
func (f *following) take(ctx context.Context, db DBTX, row dbsqlc.ChainLinksRow) (*clerksync.Break, error) {
	entry := link(row)
	if entry.ErasedBy != 0 {
		v, err := f.vouchers.read(ctx, db, entry.ErasedBy)
		if err != nil {
			return nil, err
		}
		entry.Left = v.Left(entry)
	}
	broken, displaced := f.chain.Next(entry)
	if displaced {
		return displacedBy(ctx, db, &f.chain, entry)
	}
	if broken == nil {
		f.fitted++
		if entry.ErasedBy != 0 {
			f.erased++
		}
	}
	return broken, nil
}

// unreadable reports whether an error says that a row has a value that Rolecall never records,
// such as null or an infinite instant. Such a row was tampered with, so the verification reports
// it and doesn't fail.
func unreadable(err error) bool {
	_, scanned := errors.AsType[pgx.ScanArgError](err)
	return scanned
}

func link(r dbsqlc.ChainLinksRow) clerksync.LoggedEntry {
	return clerksync.LoggedEntry{
		ID: r.ID, Seq: r.Seq, OrganizationID: r.OrganizationID, Actor: r.Actor, Impersonator: r.Impersonator, Action: clerksync.Action(r.Action), Target: r.Target,
		Before: jsonText(r.Before), After: jsonText(r.After), Data: jsonText(r.Data), At: r.At, Cause: r.Cause,
		PrevHash: r.PrevHash, Hash: r.Hash, ErasedBy: erasedBy(r.ErasedBy),
	}
}

// erasedBy returns the number of the voucher of what was erased; 0 if nothing was. A number that
// no entry has shows an entry that was tampered with.
func erasedBy(seq *int64) int64 {
	switch {
	case seq == nil:
		return 0
	case *seq == 0:
		return -1
	default:
		return *seq
	}
}

// jsonText returns nil for "", which is no JSON.
func jsonText(text string) json.RawMessage {
	if text == "" {
		return nil
	}
	return json.RawMessage(text)
}

func displacedBy(ctx context.Context, db DBTX, chain *clerksync.Chain, entry clerksync.LoggedEntry) (*clerksync.Break, error) {
	near, err := queries().Neighbours(ctx, db, dbsqlc.NeighboursParams{
		OrganizationID: entry.OrganizationID, Followed: append([]byte{}, chain.Hash...), Hash: entry.PrevHash, // never null
	})
	if err != nil {
		return nil, err
	}
	return new(chain.Displaced(entry, near.Follower, near.Bearer)), nil
}

// NextChain returns the organization whose audit log is verified after the given one, and
// [ErrNotFound] after the last. The first is "", which stands for entries of the whole instance.
func NextChain(ctx context.Context, db DBTX, after string) (string, error) {
	next, err := queries().NextChain(ctx, db, after)
	if err := oneRow(err, "find next audit log"); err != nil {
		return "", err
	}
	return next, nil
}
