package sweep

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// progress is where a sweep continues. It is stored as JSON with each page.
type progress struct {
	Resource clerksync.Resource `json:"resource"`            // that is being listed, or confirmed
	Offset   int                `json:"offset"`              // objects of it before the next page
	Total    int                `json:"total,omitempty"`     // how many of this kind Clerk counts, if it said so
	After    string             `json:"after,omitempty"`     // the next page, or the next look-up, begins after this id
	Tail     []string           `json:"tail,omitempty"`      // the last ids of the page before
	Pass     int                `json:"pass,omitempty"`      // passes that fell short
	Stalls   int                `json:"stalls,omitempty"`    // pages of this pass that made no progress
	NoCursor bool               `json:"no_cursor,omitempty"` // Clerk doesn't know the cursor of users, so offsets are used
	Listed   bool               `json:"listed,omitempty"`    // everything is listed
	Decided  bool               `json:"decided,omitempty"`   // the brake has let the sweep pass
	Failures int                `json:"failures,omitempty"`  // of Clerk's, in a row at this place
	Lifting  bool               `json:"lifting,omitempty"`   // unlisted objects are confirmed; listed ones with a tombstone are next
	LookedUp int                `json:"looked_up,omitempty"` // objects that were looked up
	Early    bool               `json:"early,omitempty"`     // the look-ups began before all older deliveries were applied, and begin again
	Awaits   time.Time          `json:"awaits,omitzero"`     // until when these deliveries are awaited, by the database's clock
	Again    bool               `json:"again,omitempty"`     // only what has changed since the sweep began is looked up, once more
	Doubts   []doubtful         `json:"doubts,omitempty"`    // that are to be settled before the sweep continues
	Tally    *tally             `json:"tally,omitempty"`     // memberships at stake, or that end with an organization, counted so far
	// Seen is how many objects of this kind were listed. It is nil if an older version listed some
	// of them, which didn't count.
	Seen *int `json:"seen,omitempty"`
}

// listing returns the beginning of the listing of a kind.
func listing(resource clerksync.Resource) progress {
	return progress{Resource: resource, Seen: new(0)}
}

// again returns the beginning of another pass over the kind.
func (p progress) again() progress {
	return progress{Resource: p.Resource, Pass: p.Pass + 1, NoCursor: p.NoCursor, Seen: p.Seen}
}

// confirming returns the beginning of the look-ups of a kind.
func (p progress) confirming(resource clerksync.Resource) progress {
	return progress{Listed: true, Decided: true, Resource: resource, LookedUp: p.LookedUp, Early: p.Early, Again: p.Again}
}

// lifting returns the beginning of the look-ups of listed objects that have a tombstone.
func (p progress) lifting() progress {
	next := p.confirming(p.Resource)
	next.Lifting = true
	return next
}

// after returns where the look-ups continue after an object.
func (p progress) after(id string) progress {
	next := p.confirming(p.Resource)
	next.Lifting = p.Lifting
	next.After = id
	return next
}

// lookedUp returns where the look-ups continue after that of an object.
func (p progress) lookedUp(id string) progress {
	next := p.after(id)
	next.LookedUp++
	return next
}

// Progress says how far a sweep has come.
type Progress struct {
	Resource   clerksync.Resource // that is being listed, or looked up
	Listed     int                // objects of the kind that were listed
	Total      int                // objects of the kind that Clerk has; -1 if it doesn't say
	Confirming bool               // the listing is complete, and objects that differ are looked up
	LookedUp   int                // objects that were looked up
}

// ReadProgress reads how far a stored sweep has come.
func ReadProgress(s store.Sweep) (Progress, error) {
	p, err := readProgress(s)
	total := -1
	if p.Total > 0 {
		total = p.Total
	}
	return Progress{Resource: p.Resource, Listed: p.Offset, Total: total, Confirming: p.Listed, LookedUp: p.LookedUp}, err
}

func readProgress(s store.Sweep) (p progress, err error) {
	if err := json.Unmarshal(s.Progress, &p); err != nil {
		return p, fmt.Errorf("read progress of %s: %w", s.Name(), err)
	}
	return p, nil
}
