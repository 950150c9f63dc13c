package sync

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"strconv"
)

// Two things take something out of the audit log: a cut takes out old entries, and an erasure
// takes out what entries say of a person. For both, an entry of the instance's own chain is the
// voucher: it names each chain that was cut and each entry that was erased, with what must be
// left. The chains then verify against their vouchers, and the vouchers with the instance's chain.

// VoucherCause is the cause of the entries that vouch for cuts.
const VoucherCause = "retention"

// CutVoucher is what an entry of the action [ActionOperatorCut] says of one chain. Its hashes are
// in lower-case hex.
type CutVoucher struct {
	OrganizationID string `json:"workspace_id"` // "" for the instance's own chain
	Through        int64  `json:"through"`      // number of the last entry that was looked at
	Hash           string `json:"hash"`         // of that entry
	Kept           int64  `json:"kept"`         // how many entries through that one are still there
	Digest         string `json:"digest"`       // of the kept entries; see [Cut]
	Gone           int64  `json:"gone"`         // how many entries this cut deleted
}

// ErasureVoucher is what an entry of the action [ActionOperatorErased] says of one entry. Its
// hashes are in lower-case hex.
type ErasureVoucher struct {
	OrganizationID string `json:"workspace_id"` // "" for the instance's own chain
	Seq            int64  `json:"id"`
	Hash           string `json:"hash"` // of the entry as it was recorded
	Left           string `json:"left"` // hash that the entry has by what is left of it
}

// Voucher is what an entry vouches for.
type Voucher struct {
	Cuts    []CutVoucher     `json:"cuts,omitempty"`
	Entries []ErasureVoucher `json:"entries,omitempty"`
}

// Voucher reads what an entry of the instance's chain vouches for: nothing, unless its action says
// so and its content has its hash.
func (e LoggedEntry) Voucher() (v Voucher) {
	if e.OrganizationID != "" || !e.intactAs(e.Seq) || json.Unmarshal(e.Data, &v) != nil {
		return Voucher{}
	}
	switch e.Action {
	case ActionOperatorCut:
		return Voucher{Cuts: v.Cuts}
	case ActionOperatorErased:
		return Voucher{Entries: v.Entries}
	default:
		return Voucher{}
	}
}

// VouchesFor reports whether the voucher has this very cut.
func (v Voucher) VouchesFor(organizationID string, c Cut) bool {
	for _, said := range v.Cuts {
		if said.OrganizationID == organizationID && said.Through == c.Seq && said.Kept == c.Kept &&
			said.Hash == hex.EncodeToString(c.Hash) && said.Digest == hex.EncodeToString(c.Digest) {
			return true
		}
	}
	return false
}

// Left returns the hash that the entry must have by what is left of it; nil if the voucher doesn't
// have the entry.
func (v Voucher) Left(e LoggedEntry) []byte {
	for _, said := range v.Entries {
		if said.OrganizationID == e.OrganizationID && said.Seq == e.Seq && said.Hash == hex.EncodeToString(e.Hash) {
			left, err := hex.DecodeString(said.Left)
			if err != nil {
				return nil
			}
			return left
		}
	}
	return nil
}

// Cut is where a chain was cut: the entries up to Seq are gone, except those that still hold.
//
// Digest is the SHA-256 of the kept entries in the order of their numbers: of each, the number in
// decimal, a colon, its hash in lower-case hex, and a semicolon.
type Cut struct {
	Seq    int64 // 0: never cut
	Hash   []byte
	Kept   int64
	Digest []byte
}

// Kept sums up entries that a cut leaves.
type Kept struct {
	n   int64
	sum hash.Hash
}

// Add adds the next entry, by number.
func (k *Kept) Add(seq int64, hash []byte) {
	if k.sum == nil {
		k.sum = sha256.New()
	}
	k.n++
	fmt.Fprintf(k.sum, "%d:%x;", seq, hash)
}

// Cut returns the cut after an entry.
func (k *Kept) Cut(seq int64, hash []byte) Cut {
	if k.sum == nil {
		k.sum = sha256.New()
	}
	return Cut{Seq: seq, Hash: hash, Kept: k.n, Digest: k.sum.Sum(nil)}
}

// keep takes an entry from before the cut. Its neighbours are gone, so it can only be intact, and
// the digest tells whether it was kept.
func (c *Chain) keep(e LoggedEntry) *Break {
	switch {
	case e.Seq <= c.lastKept:
		return &Break{TamperedInserted, e.Seq, "Another entry has this number, or the number is below 1."}
	case !e.intactAs(e.Seq):
		return &Break{TamperedChanged, e.Seq, "The entry's content doesn't match its hash."}
	case e.Seq == c.Noted.Seq && !bytes.Equal(e.Hash, c.Noted.Hash):
		return &Break{TamperedChanged, e.Seq, "This entry was replaced: the noted hash of this entry is another one."}
	}
	c.lastKept = e.Seq
	c.kept.Add(e.Seq, e.Hash)
	c.noted = c.noted || e.Seq == c.Noted.Seq
	return nil
}

// cross goes on behind the cut, if the entries before it are those that were kept.
func (c *Chain) cross() *Break {
	c.crossed = true
	found := c.kept.Cut(c.Cut.Seq, c.Cut.Hash)
	switch {
	case !c.Vouched:
		return &Break{TamperedMissing, 1, "The log was cut, and no entry of the instance's log vouches for this cut."}
	case found.Kept < c.Cut.Kept:
		return &Break{TamperedMissing, c.Cut.Seq, "Of the entries up to this one, the cut kept " + strconv.FormatInt(c.Cut.Kept, 10) + ", and fewer are there."}
	case found.Kept > c.Cut.Kept:
		return &Break{TamperedInserted, c.Cut.Seq, "Of the entries up to this one, the cut kept " + strconv.FormatInt(c.Cut.Kept, 10) + ", and more are there."}
	case !bytes.Equal(found.Digest, c.Cut.Digest):
		return &Break{TamperedChanged, c.Cut.Seq, "The entries up to this one aren't those that the cut kept."}
	case c.Noted.Seq == c.Cut.Seq && !bytes.Equal(c.Noted.Hash, c.Cut.Hash):
		return &Break{TamperedChanged, c.Cut.Seq, "The noted hash of this entry is another one than that of the cut."}
	case c.Noted.Seq > 0 && c.Noted.Seq < c.Cut.Seq && !c.noted:
		return &Break{TamperedMissing, c.Noted.Seq, "The noted entry was cut since. If the log's life (ROLECALL_AUDIT_RETENTION) explains it, begin with a new file."}
	}
	c.Seq, c.Hash = c.Cut.Seq, c.Cut.Hash
	return nil
}
