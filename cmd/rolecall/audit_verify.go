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

type verifyAudit struct {
	Workspace string `help:"Only this workspace (org_…)."`
	Since     string `type:"existingfile" placeholder:"FILE" help:"Output of an earlier run with --json, stored outside the database. This run then also finds chains that were rewritten or cut off since."`
	JSON      bool   `name:"json" help:"Print a JSON object."`
}

// verifiedAudit is the result of a verification.
type verifiedAudit struct {
	Chains   int64         `json:"chains"`   // of workspaces, and the instance's own
	Compared int64         `json:"compared"` // chains that the earlier run recorded
	Entries  int64         `json:"entries"`  // that are unchanged
	Cut      int64         `json:"cut"`      // chains whose oldest entries were cut, by ROLECALL_AUDIT_RETENTION
	Erased   int64         `json:"erased"`   // of the unchanged entries, those from which a person was erased
	Broken   []brokenChain `json:"broken"`
	// Heads are the last unchanged entry of each chain. Store them elsewhere: the database's owner
	// can rewrite a chain, or cut it off. If a chain lacks the head that the earlier run recorded,
	// Heads has that recorded head, so that later runs fail, too.
	Heads []chainHead `json:"heads"`
}

type chainHead struct {
	WorkspaceID string `json:"workspace_id"` // empty for the instance's own chain
	LastID      int64  `json:"last_id"`      // as in the API; also the number of entries
	LastHash    string `json:"last_hash"`    // in hex
}

type brokenChain struct {
	WorkspaceID string `json:"workspace_id"` // empty for the instance's own chain
	Tampering   string `json:"tampering"`    // changed, missing, inserted or reordered
	ID          int64  `json:"id"`           // of the entry, as in the API
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

// verify verifies one chain after the other.
func (c *verifyAudit) verify(ctx context.Context, db database.DB) (verifiedAudit, error) {
	result := verifiedAudit{Broken: []brokenChain{}, Heads: []chainHead{}}
	noted, err := c.noted()
	if err != nil {
		return result, err
	}
	if c.Workspace != "" {
		err := c.one(ctx, db, &result, noted)
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
	for _, organization := range slices.Sorted(maps.Keys(noted)) { // chains that are gone
		if err := result.add(ctx, db, organization, noted[organization]); err != nil {
			return result, err
		}
	}
	return result, nil
}

// one verifies the chain of one workspace. If something was cut or erased, it also verifies the
// instance's chain, which vouches for that.
func (c *verifyAudit) one(ctx context.Context, db database.DB, result *verifiedAudit, noted map[string]clerksync.Mark) error {
	if c.Since != "" && noted[c.Workspace].Seq == 0 {
		return fmt.Errorf("--since %s: it has no chain of %s", c.Since, c.Workspace)
	}
	err := result.add(ctx, db, c.Workspace, noted[c.Workspace])
	if err == nil && result.Chains == 0 {
		err = fmt.Errorf("the audit log has no entries of a workspace %s", c.Workspace)
	}
	if err == nil && result.Cut+result.Erased > 0 {
		err = result.add(ctx, db, "", noted[""])
	}
	return err
}

// noted reads the heads that an earlier run printed.
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
		return nil, fmt.Errorf("--since %s: it isn't the output of a run with --json", c.Since)
	}
	return noted, nil
}

// add verifies one chain in a snapshot: services keep writing.
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
	head := clerksync.Mark{Seq: report.Last, Hash: report.Hash}
	if report.Last < noted.Seq || report.Broken != nil && noted.Seq > 0 && report.Cut > noted.Seq {
		head = noted
	}
	if head.Seq > 0 {
		v.Heads = append(v.Heads, chainHead{organizationID, head.Seq, hex.EncodeToString(head.Hash)})
	}
	v.Entries += report.Entries
	v.Erased += report.Erased
	if report.Cut > 0 {
		v.Cut++
	}
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
	if err == nil && result.Cut > 0 {
		_, err = fmt.Fprintf(out, "cut: %s, each as an entry operator.log_cut says\n", counted(result.Cut, "chain", "chains"))
	}
	if err == nil && result.Erased > 0 {
		_, err = fmt.Fprintf(out, "erased from: %s, each as an entry operator.erased says\n", counted(result.Erased, "entry", "entries"))
	}
	if err == nil && c.Since != "" {
		_, err = fmt.Fprintf(out, "compared with %s: %d of %s\n", c.Since, result.Compared, chains)
	}
	if err == nil && c.Workspace != "" && len(result.Broken) == 0 {
		_, err = fmt.Fprintf(out, "last entry: %d, hash %s\n", result.Heads[0].LastID, result.Heads[0].LastHash)
	}
	if err != nil {
		return fmt.Errorf("print the verification: %w", err)
	}
	return nil
}
