package sync

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"
)

// LoggedEntry is an entry of the audit log as it is stored, in the chain of its organization.
//
// Its Hash is the SHA-256 of these values, one after the other: the text "rolecall.audit.v1",
// PrevHash in lower-case hex, Seq, OrganizationID, Actor, Action, Target, Before, After, Data, At
// in microseconds since 1970, and Cause. Each value is written as its length in bytes, a colon and
// its UTF-8; numbers in decimal; JSON as the very text that is stored; "-" stands for null.
//
// An entry with an Impersonator begins with "rolecall.audit.v2" instead, and the Impersonator
// follows the Cause. So an entry can neither gain nor lose one unnoticed, and entries from before
// there were any keep their hashes. Migration 00036 computes the same in SQL, when the entry is
// inserted.
type LoggedEntry struct {
	ID             int64  // of the row; its order means nothing
	Seq            int64  // counts the organization's entries from 1, in the order of recording
	OrganizationID string // "" for entries of the whole instance
	Actor          *string
	Impersonator   *string // who acted as the actor; nil if the actor acted
	Action         Action
	Target         string
	Before, After  json.RawMessage // nil for null
	Data           json.RawMessage // what a product sent with an entry of its own
	At             time.Time       // to the microsecond
	Cause          string
	PrevHash, Hash []byte // PrevHash is empty in the first entry

	ErasedBy int64  // number of the voucher in the instance's chain; 0: nothing was erased
	Left     []byte // of an erased entry: the hash that the voucher says it has now; nil without a voucher
}

// The versions of the encoding. One of them begins the hashed text.
const (
	chainVersion             = "rolecall.audit.v1"
	chainVersionImpersonated = "rolecall.audit.v2"
)

// Happened orders entries of one chain by when things happened, then by when they were recorded.
func (e LoggedEntry) Happened(other LoggedEntry) int {
	return cmp.Or(e.At.Compare(other.At), cmp.Compare(e.Seq, other.Seq))
}

// Sum returns the hash that the entry should have.
func (e LoggedEntry) Sum() [sha256.Size]byte { return e.sumAs(e.Seq) }

// sumAs returns the hash that the entry would have with another number.
func (e LoggedEntry) sumAs(seq int64) [sha256.Size]byte {
	version := chainVersion
	if e.Impersonator != nil {
		version = chainVersionImpersonated
	}
	values := []*string{
		&version, new(hex.EncodeToString(e.PrevHash)), new(strconv.FormatInt(seq, 10)), &e.OrganizationID, e.Actor,
		(*string)(&e.Action), &e.Target, jsonText(e.Before), jsonText(e.After), jsonText(e.Data),
		new(strconv.FormatInt(e.At.UnixMicro(), 10)), &e.Cause,
	}
	if e.Impersonator != nil {
		values = append(values, e.Impersonator)
	}
	var b []byte
	for _, v := range values {
		if v == nil {
			b = append(b, '-')
			continue
		}
		b = strconv.AppendInt(b, int64(len(*v)), 10)
		b = append(b, ':')
		b = append(b, *v...)
	}
	return sha256.Sum256(b)
}

func jsonText(raw json.RawMessage) *string {
	if raw == nil {
		return nil
	}
	return new(string(raw))
}

// intactAs reports whether the entry is unchanged since it was recorded under the number, except
// for what was erased from it.
func (e LoggedEntry) intactAs(seq int64) bool {
	sum := e.sumAs(seq)
	if e.ErasedBy != 0 {
		return bytes.Equal(sum[:], e.Left)
	}
	return bytes.Equal(sum[:], e.Hash)
}

// Tampering names what was done to a chain of entries. The values are part of the command line's
// output.
type Tampering string

// The kinds of tampering that an entry which doesn't fit can show.
const (
	TamperedChanged   Tampering = "changed"
	TamperedMissing   Tampering = "missing"
	TamperedInserted  Tampering = "inserted"
	TamperedReordered Tampering = "reordered"
)

// Break is the first place at which a chain differs from what was recorded.
type Break struct {
	Tampering Tampering
	Seq       int64  // number of the entry that was changed, inserted or removed, or that has another place now
	Detail    string // one sentence for people
}

// Mark is the number and the hash of an entry, as noted outside the database, where users of the
// database can't change them.
type Mark struct {
	Seq  int64 // 0: nothing was noted
	Hash []byte
}

// Chain checks the entries of one organization, given in the order of their numbers. Its zero
// value is at the beginning.
type Chain struct {
	Seq   int64  // of the last entry that fitted; 0 at the beginning
	Hash  []byte // of the last entry that fitted; nil at the beginning
	Noted Mark   // of an entry that must exist

	Cut     Cut  // where the chain was cut
	Vouched bool // the instance's chain has a voucher for this very cut

	crossed, noted bool
	lastKept       int64
	kept           Kept
}

// Next takes the next entry and returns nil if it fits. If the entry alone doesn't show what was
// done, displaced is true. [Chain.Displaced] then says it by the entry's neighbours.
func (c *Chain) Next(e LoggedEntry) (broken *Break, displaced bool) {
	if !c.crossed && c.Cut.Seq > 0 {
		if e.Seq <= c.Cut.Seq {
			return c.keep(e), false
		}
		if broken := c.cross(); broken != nil {
			return broken, false
		}
	}
	next := c.Seq + 1
	follows, intact := bytes.Equal(e.PrevHash, c.Hash), e.intactAs(e.Seq)
	switch {
	case e.Seq > next:
		return &Break{TamperedMissing, next, "There is no entry of this number, but there are later ones."}, false
	case e.Seq < next:
		return &Break{TamperedInserted, e.Seq, "Another entry has this number, or the number is below 1."}, false
	case follows && intact && next == c.Noted.Seq && !bytes.Equal(e.Hash, c.Noted.Hash):
		return &Break{TamperedChanged, next, "This entry or an earlier one was changed, and the chain was rebuilt: the noted hash of this entry is another one."}, false
	case follows && intact:
		c.Seq, c.Hash = e.Seq, e.Hash
		return nil, false
	case follows:
		return &Break{TamperedChanged, next, "The entry's content doesn't match its hash."}, false
	case intact: // the entry before this one was forged, and its hash computed anew
		return &Break{TamperedChanged, max(next-1, 1), "The entry isn't the one that the next entry follows."}, false
	case next > 1 && e.intactAs(next-1):
		return &Break{TamperedInserted, next - 1, "The entry that was recorded under this number has the next number now."}, false
	default:
		return nil, true
	}
}

// Displaced says what was done at the place of an entry that doesn't belong there. By the hashes,
// the entry numbered follower comes after the last entry that fitted, and the entry numbered
// followed comes before the given one. Either number is 0 if there is no such entry.
func (c *Chain) Displaced(e LoggedEntry, follower, followed int64) Break {
	next := c.Seq + 1
	genuine := e.intactAs(next+1) || followed > 0 && e.intactAs(followed+1)
	switch {
	case follower > 0 && genuine:
		return Break{TamperedReordered, next, "The entry that was recorded under this number has the number " + strconv.FormatInt(follower, 10) + " now."}
	case follower > 0:
		return Break{TamperedInserted, next, "The entry that was recorded under this number has the number " + strconv.FormatInt(follower, 10) + " now, and the entry that has this number was never recorded."}
	case genuine:
		return Break{TamperedMissing, next, "The entry is gone, and a later one has its number."}
	default:
		return Break{TamperedChanged, next, "The entry was replaced by one that was never recorded."}
	}
}

// Unreadable returns the break of an entry whose values can't be read. It is the entry after the
// last one that fitted.
func (c *Chain) Unreadable() Break {
	return Break{TamperedChanged, c.Seq + 1, "The entry has values that are never recorded."}
}

// End judges the whole log by the chain's head: the number and hash of the last entry, or 0
// without a head. It takes the break that was found before, if any, and returns nil if the log has
// none.
func (c *Chain) End(broken *Break, seq int64, hash []byte) *Break {
	if broken == nil && !c.crossed && c.Cut.Seq > 0 {
		broken = c.cross()
	}
	switch {
	case broken != nil && broken.Seq > seq, broken == nil && c.Seq > seq:
		return &Break{TamperedInserted, seq + 1, "The log goes on with this entry, but fewer entries were recorded."}
	case broken != nil:
		return broken
	case c.Seq < max(seq, c.Noted.Seq):
		return &Break{TamperedMissing, c.Seq + 1, "The log ends before this entry, but more entries were recorded."}
	case !bytes.Equal(c.Hash, hash):
		return &Break{TamperedChanged, c.Seq, "The last entry isn't the one that was recorded last."}
	default:
		return nil
	}
}
