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
	Hash           []byte // of the last one that fitted
	Broken         *clerksync.Break
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
	chain := &clerksync.Chain{Noted: noted}
	broken, err := followChain(ctx, db, organizationID, chain)
	if err != nil {
		return ChainReport{}, fmt.Errorf("verify audit log: %w", err)
	}
	return ChainReport{
		OrganizationID: organizationID, Entries: chain.Seq, Hash: chain.Hash, Broken: chain.End(broken, head.Seq, head.Hash),
	}, nil
}

// followChain takes entry after entry until one doesn't fit. If one of a batch can't be read, it
// continues one by one.
func followChain(ctx context.Context, db DBTX, organizationID string, chain *clerksync.Chain) (*clerksync.Break, error) {
	p := dbsqlc.ChainLinksParams{OrganizationID: organizationID, FromSeq: math.MinInt64, FromID: math.MinInt64, PageSize: chainBatch}
	for {
		rows, err := queries().ChainLinks(ctx, db, p)
		switch {
		case unreadable(err) && p.PageSize > 1:
			p.PageSize = 1
			continue
		case unreadable(err):
			return new(chain.Unreadable()), nil
		case err != nil:
			return nil, err
		}
		for _, row := range rows {
			entry := link(row)
			broken, displaced := chain.Next(entry)
			if displaced {
				return displacedBy(ctx, db, chain, entry)
			}
			if broken != nil {
				return broken, nil
			}
			p.FromSeq, p.FromID = row.Seq, row.ID+1
		}
		if len(rows) < int(p.PageSize) {
			return nil, nil
		}
	}
}

// unreadable reports whether an error says that a row has a value that Rolecall never records, such
// as null or an infinite instant. Such a row was tampered with, so the verification reports it and
// doesn't fail.
func unreadable(err error) bool {
	_, scanned := errors.AsType[pgx.ScanArgError](err)
	return scanned
}

func link(r dbsqlc.ChainLinksRow) clerksync.LoggedEntry {
	return clerksync.LoggedEntry{
		ID: r.ID, Seq: r.Seq, OrganizationID: r.OrganizationID, Actor: r.Actor, Impersonator: r.Impersonator, Action: clerksync.Action(r.Action), Target: r.Target,
		Before: jsonText(r.Before), After: jsonText(r.After), Data: jsonText(r.Data), At: r.At, Cause: r.Cause,
		PrevHash: r.PrevHash, Hash: r.Hash,
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
