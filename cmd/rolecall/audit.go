package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

type auditCommand struct {
	Verify verifyAudit `cmd:"" help:"Compute the chains of hashes anew and name the first entry of each that was changed, is missing, was inserted or reordered. Exit code 3: a chain is broken."`
}

type verifyAudit struct {
	Workspace string `help:"Only this workspace (org_…)."`
	Since     string `type:"existingfile" placeholder:"FILE" help:"What an earlier run printed with --json, kept out of the database's reach: what has been written anew or cut off since is found, too."`
	JSON      bool   `name:"json" help:"Print a JSON object."`
}

// verifiedAudit is what came of verifying.
type verifiedAudit struct {
	Chains   int64         `json:"chains"`   // of workspaces, and of what concerns the instance
	Compared int64         `json:"compared"` // chains that an earlier run noted
	Entries  int64         `json:"entries"`  // that are as they were recorded
	Broken   []brokenChain `json:"broken"`
	// The last entry of each chain that is as it was recorded: to be kept elsewhere, since who owns
	// the database can write a chain anew, or cut it off. Of a chain that lacks what an earlier run
	// noted, that again: whatever is compared with this run lacks it, too.
	Heads []chainHead `json:"heads"`
}

type chainHead struct {
	WorkspaceID string `json:"workspace_id"` // empty for what concerns the instance
	LastID      int64  `json:"last_id"`      // as the API gives it, and the number of entries
	LastHash    string `json:"last_hash"`    // in hex
}

type brokenChain struct {
	WorkspaceID string `json:"workspace_id"` // empty for what concerns the instance
	Tampering   string `json:"tampering"`    // changed, missing, inserted or reordered
	ID          int64  `json:"id"`           // of the entry, as the API gives it
	Detail      string `json:"detail"`
}

func (c *verifyAudit) run(ctx context.Context, io streams) error {
	return withDatabase(ctx, func(_ config.Config, db database.DB) error {
		result, err := c.verify(ctx, db)
		if err != nil {
			return err
		}
		if err := c.print(io.out, result); err != nil {
			return err
		}
		if n := len(result.Broken); n > 0 {
			return &codedError{exitGuard, fmt.Errorf("broken: %d of %s", n, counted(result.Chains, "chain", "chains"))}
		}
		return nil
	})
}

// verify takes chain after chain.
func (c *verifyAudit) verify(ctx context.Context, db database.DB) (verifiedAudit, error) {
	result := verifiedAudit{Broken: []brokenChain{}, Heads: []chainHead{}}
	noted, err := c.noted()
	if err != nil {
		return result, err
	}
	if c.Workspace != "" {
		if c.Since != "" && noted[c.Workspace].Seq == 0 {
			return result, fmt.Errorf("--since %s: it says nothing of %s", c.Since, c.Workspace)
		}
		err := result.add(ctx, db, c.Workspace, noted[c.Workspace])
		if err == nil && result.Chains == 0 {
			err = fmt.Errorf("the audit log has no entries of a workspace %s", c.Workspace)
		}
		return result, err
	}
	for organization := ""; ; {
		if err := result.add(ctx, db, organization, noted[organization]); err != nil {
			return result, err
		}
		delete(noted, organization)
		next, err := store.NextChain(ctx, db, organization)
		if errors.Is(err, store.ErrNotFound) {
			break
		}
		if err != nil {
			return result, err
		}
		organization = next
	}
	for _, organization := range slices.Sorted(maps.Keys(noted)) { // of which nothing is left
		if err := result.add(ctx, db, organization, noted[organization]); err != nil {
			return result, err
		}
	}
	return result, nil
}

// noted reads what an earlier run printed.
func (c *verifyAudit) noted() (map[string]clerksync.Mark, error) {
	noted := map[string]clerksync.Mark{}
	if c.Since == "" {
		return noted, nil
	}
	text, err := os.ReadFile(c.Since)
	if err != nil {
		return nil, fmt.Errorf("--since: %w", err)
	}
	var earlier verifiedAudit
	malformed := json.Unmarshal(text, &earlier)
	for _, head := range earlier.Heads {
		hash, err := hex.DecodeString(head.LastHash)
		malformed = errors.Join(malformed, err)
		noted[head.WorkspaceID] = clerksync.Mark{Seq: head.LastID, Hash: hash}
	}
	if malformed != nil || earlier.Heads == nil {
		return nil, fmt.Errorf("--since %s: it isn't what a run with --json printed", c.Since)
	}
	return noted, nil
}

// add verifies one chain, as of one moment: services go on writing.
func (v *verifiedAudit) add(ctx context.Context, db database.DB, organizationID string, noted clerksync.Mark) error {
	var report store.ChainReport
	err := db.Snapshot(ctx, func(tx store.DBTX) (err error) {
		report, err = store.VerifyChain(ctx, tx, organizationID, noted)
		return err
	})
	if err != nil {
		return err
	}
	if report.Entries > 0 || report.Broken != nil {
		v.Chains++
	}
	if noted.Seq > 0 {
		v.Compared++
	}
	head := clerksync.Mark{Seq: report.Entries, Hash: report.Hash}
	if report.Entries < noted.Seq {
		head = noted
	}
	if head.Seq > 0 {
		v.Heads = append(v.Heads, chainHead{organizationID, head.Seq, hex.EncodeToString(head.Hash)})
	}
	v.Entries += report.Entries
	if b := report.Broken; b != nil {
		v.Broken = append(v.Broken, brokenChain{WorkspaceID: organizationID, Tampering: string(b.Tampering), ID: b.Seq, Detail: b.Detail})
	}
	return nil
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
		fmt.Fprintf(out, "%s entry %d: %s. %s\n", line(whose), b.ID, b.Tampering, line(b.Detail))
	}
	chains := counted(result.Chains, "chain", "chains")
	_, err := fmt.Fprintf(out, "as recorded: %s of %s\nbroken: %s\n", counted(result.Entries, "entry", "entries"), chains,
		counted(int64(len(result.Broken)), "chain", "chains"))
	if err == nil && c.Since != "" {
		_, err = fmt.Fprintf(out, "compared with %s: %d of %s\n", c.Since, result.Compared, chains)
	}
	if err == nil && c.Workspace != "" && len(result.Broken) == 0 {
		_, err = fmt.Fprintf(out, "last entry: %d, hash %s\n", result.Heads[0].LastID, result.Heads[0].LastHash)
	}
	if err != nil {
		return fmt.Errorf("print what was verified: %w", err)
	}
	return nil
}
