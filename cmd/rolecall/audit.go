package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/callmine/rolecall/store"
)

type auditCommand struct {
	Verify verifyAudit `cmd:"" help:"Compute the chains of hashes anew and name the first entry of each that was changed, is missing, was inserted or reordered. Exit code 3: a chain is broken."`
}

type verifyAudit struct {
	Workspace string `help:"Only this workspace (org_…)."`
	JSON      bool   `name:"json" help:"Print a JSON object."`
}

// verifiedAudit is what came of verifying.
type verifiedAudit struct {
	Chains  int64         `json:"chains"`  // of workspaces, and of what concerns the instance
	Entries int64         `json:"entries"` // that are as they were recorded
	Broken  []brokenChain `json:"broken"`
	// Of the last entry that is as it was recorded, if one workspace was asked about: to be kept elsewhere, since who owns the
	// database can write all of a chain anew.
	LastID   int64  `json:"last_id,omitempty"`
	LastHash string `json:"last_hash,omitempty"`
}

type brokenChain struct {
	WorkspaceID string `json:"workspace_id"` // empty for what concerns the instance
	Tampering   string `json:"tampering"`    // changed, missing, inserted or reordered
	ID          int64  `json:"id"`           // of the entry, as the API gives it
	Detail      string `json:"detail"`
}

func (c *verifyAudit) run(ctx context.Context, io streams) error {
	return withLedger(ctx, func(_ config, db *pgxpool.Pool) error {
		result, err := c.verify(ctx, db)
		if err != nil {
			return err
		}
		if err := c.print(io.out, result); err != nil {
			return err
		}
		if n := len(result.Broken); n > 0 {
			return &codedError{exitGuard, fmt.Errorf("%d of %d chains are broken", n, result.Chains)}
		}
		return nil
	})
}

// verify takes chain after chain.
func (c *verifyAudit) verify(ctx context.Context, db *pgxpool.Pool) (verifiedAudit, error) {
	result := verifiedAudit{Broken: []brokenChain{}}
	if c.Workspace != "" {
		report, err := result.add(ctx, db, c.Workspace)
		if err == nil && report.Entries == 0 && report.Broken == nil {
			err = fmt.Errorf("the audit log has no entries of a workspace %s", c.Workspace)
		}
		result.LastID, result.LastHash = report.Entries, hex.EncodeToString(report.Hash)
		return result, err
	}
	for organization := ""; ; {
		if _, err := result.add(ctx, db, organization); err != nil {
			return result, err
		}
		next, err := store.NextChain(ctx, db, organization)
		if errors.Is(err, store.ErrNotFound) {
			return result, nil
		}
		if err != nil {
			return result, err
		}
		organization = next
	}
}

// add verifies one chain, as of one moment: services go on writing.
func (v *verifiedAudit) add(ctx context.Context, db *pgxpool.Pool, organizationID string) (report store.ChainReport, err error) {
	err = pgx.BeginTxFunc(ctx, db, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		report, err = store.VerifyChain(ctx, tx, organizationID)
		return err
	})
	if err != nil {
		return report, err
	}
	if report.Entries > 0 || report.Broken != nil {
		v.Chains++
	}
	v.Entries += report.Entries
	if b := report.Broken; b != nil {
		v.Broken = append(v.Broken, brokenChain{WorkspaceID: organizationID, Tampering: string(b.Tampering), ID: b.Seq, Detail: b.Detail})
	}
	return report, nil
}

func (c *verifyAudit) print(out io.Writer, result verifiedAudit) error {
	if c.JSON {
		return printJSON(out, result)
	}
	for _, b := range result.Broken {
		whose := b.WorkspaceID
		if whose == "" {
			whose = "the instance's"
		}
		fmt.Fprintf(out, "%s entry %d: %s. %s\n", whose, b.ID, b.Tampering, b.Detail)
	}
	_, err := fmt.Fprintf(out, "%d entries of %d chains are as they were recorded, %d chains are broken\n", result.Entries, result.Chains, len(result.Broken))
	if err == nil && result.LastID > 0 {
		_, err = fmt.Fprintf(out, "last entry: %d, hash %s\n", result.LastID, result.LastHash)
	}
	if err != nil {
		return fmt.Errorf("print what was verified: %w", err)
	}
	return nil
}
