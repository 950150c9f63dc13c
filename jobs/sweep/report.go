package sweep

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// Report is what a sweep found and did.
type Report struct {
	SweepID        string                               `json:"sweep_id"`
	InstanceID     string                               `json:"instance_id"`
	OrganizationID string                               `json:"organization_id,omitempty"` // empty for a sweep of all
	DryRun         bool                                 `json:"dry_run"`
	Order          *Order                               `json:"order,omitempty"` // that it carries out
	Missing        int                                  `json:"missing"`         // objects that Clerk has and the mirror hadn't
	Extra          int                                  `json:"extra"`           // objects that the mirror had and Clerk hasn't
	Stale          int                                  `json:"stale"`           // objects whose values differed in the mirror
	Behind         int                                  `json:"behind"`          // objects that Clerk showed in an older state than is applied here
	ByKind         map[clerksync.Resource]*KindOfReport `json:"by_kind"`
	Repaired       int                                  `json:"repaired"` // added, updated and removed
	Added          int                                  `json:"added"`
	Updated        int                                  `json:"updated"`
	Removed        int                                  `json:"removed"`
	Listed         int                                  `json:"listed"`                    // objects that Clerk listed
	Vindicated     int                                  `json:"vindicated"`                // objects that Clerk didn't list, and a look-up showed alive
	Unreadable     int                                  `json:"unreadable"`                // objects that Clerk listed in a form that can't be read
	Memberships    int                                  `json:"memberships,omitempty"`     // alive here when the listing was complete
	AtStake        int                                  `json:"at_stake,omitempty"`        // of these, how many would be removed
	RemovalLimit   int                                  `json:"removal_limit,omitempty"`   // how many may be removed without confirmation
	Stakes         []Stake                              `json:"stakes,omitempty"`          // the workspaces with the most memberships at stake, if that stopped it
	Found          []Found                              `json:"found,omitempty"`           // the first objects that differed
	NewestDrift    *time.Time                           `json:"newest_drift_at,omitempty"` // the time of the newest change that no delivery reported
	Refused        []Refused                            `json:"refused,omitempty"`         // what Clerk refused to show, and the sweep did without
	Billing        *BillingReport                       `json:"billing,omitempty"`         // what Clerk says of its Billing, as far as is known
	Calls          int                                  `json:"calls"`
	DurationMS     int64                                `json:"duration_ms"`
	Aborted        bool                                 `json:"aborted"` // a guard stopped it
	Reason         GuardReason                          `json:"reason"`
	Detail         string                               `json:"detail,omitempty"` // the reason in words
}

// ReadReport reads the report of a stored sweep, as far as it has come.
func ReadReport(s store.Sweep) (report Report, err error) {
	if err := json.Unmarshal(s.Report, &report); err != nil {
		return report, fmt.Errorf("read report of %s: %w", s.Name(), err)
	}
	report.SweepID = s.Name()
	return report, nil
}

// interrupted notes that a failure of Clerk's interrupted the sweep. The next sweep continues it.
func (r *Report) interrupted(err error) {
	switch {
	case errors.Is(err, clerksync.ErrRateLimited):
		r.abort(ReasonBudget, err.Error())
	case errors.Is(err, clerksync.ErrUnavailable):
		r.abort(ReasonListingIncomplete, err.Error())
	}
}

// abort notes why the sweep didn't end clean.
func (r *Report) abort(reason GuardReason, detail string) {
	r.Aborted = true
	r.Reason = reason
	r.Detail = detail
}

// KindOfReport splits a report's counts by the kind of object.
type KindOfReport struct {
	Missing int `json:"missing"`
	Extra   int `json:"extra"`
	Stale   int `json:"stale"`
	Behind  int `json:"behind"`
}

// clone returns a copy that can be changed without changing this one. It is needed because a page
// that fails is counted again.
func (r *Report) clone() Report {
	kinds := map[clerksync.Resource]*KindOfReport{}
	for kind, counts := range r.ByKind {
		kinds[kind] = new(*counts)
	}
	copied := *r
	copied.ByKind, copied.Refused, copied.Found = kinds, slices.Clone(r.Refused), slices.Clone(r.Found)
	return copied
}

// kind returns the counts of one kind of object.
func (r *Report) kind(kind clerksync.Resource) *KindOfReport {
	if r.ByKind == nil {
		r.ByKind = map[clerksync.Resource]*KindOfReport{}
	}
	if r.ByKind[kind] == nil {
		r.ByKind[kind] = &KindOfReport{}
	}
	return r.ByKind[kind]
}

// count adds objects of one kind that differ, and their repair unless the sweep is a dry run.
func (r *Report) count(kind clerksync.Resource, d clerksync.Difference, n int) {
	if n == 0 {
		return
	}
	repaired := n
	if r.DryRun {
		repaired = 0
	}
	r.Repaired += repaired
	counts := r.kind(kind)
	switch d {
	case clerksync.Missing:
		r.Missing += n
		counts.Missing += n
		r.Added += repaired
	case clerksync.Extra:
		r.Extra += n
		counts.Extra += n
		r.Removed += repaired
	case clerksync.Stale:
		r.Stale += n
		counts.Stale += n
		r.Updated += repaired
	case clerksync.Behind: // noteBehind counts it
	}
}

// noteNewest notes the time of the newest change that no delivery reported. at says when each
// object changed.
func (r *Report) noteNewest(found []store.FoundDrift, at map[string]time.Time) {
	for _, f := range found {
		if t := at[f.ID]; f.Cause.Untold() && !t.IsZero() && (r.NewestDrift == nil || t.After(*r.NewestDrift)) {
			r.NewestDrift = &t
		}
	}
}
