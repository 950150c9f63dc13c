package support

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// Entry is an entry of the audit log as support sees it. Names are those of today; "" if there is
// none.
type Entry struct {
	clerksync.LoggedEntry

	WorkspaceName, ActorName, TargetName string

	Unnamed     bool                    // it was changed at Clerk, and Clerk doesn't say by whom
	Origin      clerksync.RequestOrigin // of an unnamed one, as long as the delivery's body is kept
	RequestID   string                  // of the request that asked for the change, as long as the command is kept; "" for none
	Differences []Difference
}

// Entries puts names beside the ids of entries, and says what was changed and from where.
func Entries(ctx context.Context, db store.DBTX, logged []clerksync.LoggedEntry) ([]Entry, error) {
	ids := []string{}
	for _, e := range logged {
		ids = append(ids, e.OrganizationID, text(e.Actor), e.Target)
	}
	names, err := store.NamesOf(ctx, db, ids)
	if err != nil {
		return nil, err
	}
	origins, err := store.RequestOrigins(ctx, db, logged)
	if err != nil {
		return nil, err
	}
	requests, err := store.RequestsOfChanges(ctx, db, logged)
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, len(logged))
	for i, e := range logged {
		entries[i] = Entry{
			LoggedEntry: e, WorkspaceName: names[e.OrganizationID], ActorName: names[text(e.Actor)], TargetName: names[e.Target],
			Unnamed: e.Actor == nil && e.Action.AtClerk(), Differences: Differences(e), RequestID: requests[e.ID],
		}
		if e.ActorUnnamed() {
			entries[i].Origin = origins[e.Cause]
		}
	}
	return entries, nil
}

// Change says in a line what the entry changed, and what a product or an operator recorded with it:
// "role: org:member → org:admin". Ids aren't told. Truth values are told only of what is restated:
// other actions say what became true.
func (e Entry) Change() string {
	var told []string
	restated := strings.HasSuffix(string(e.Action), ".restated")
	for _, d := range e.Differences {
		id := strings.HasSuffix(d.Name, " id") || strings.HasSuffix(d.Name, " ids")
		truth := d.Was == "true" || d.Was == "false" || d.Is == "true" || d.Is == "false"
		switch {
		case !d.Same && (id || truth && !restated):
		case d.Was == "":
			told = append(told, d.Name+": "+d.Is)
		case d.Is == "":
			told = append(told, d.Name+" was "+d.Was)
		default:
			told = append(told, d.Name+": "+d.Was+" → "+d.Is)
		}
	}
	return strings.Join(told, ", ")
}

// Difference is one value that an entry changed. Was and Is are "" for no value.
type Difference struct {
	Name, Was, Is string
	Same          bool // it is what a product or an operator recorded, and no change
}

// Differences compares what an entry says of the states before and after.
func Differences(e clerksync.LoggedEntry) []Difference {
	before, after, recorded := membersOf(e.Before), membersOf(e.After), membersOf(e.Data)
	all := maps.Clone(before)
	maps.Copy(all, after)
	var differences []Difference
	for _, name := range slices.Sorted(maps.Keys(all)) {
		d := Difference{Name: strings.ReplaceAll(name, "_", " "), Was: before[name], Is: after[name]}
		if d.Was == d.Is || name == "membership_id" {
			continue
		}
		differences = append(differences, d)
	}
	for _, name := range slices.Sorted(maps.Keys(recorded)) {
		differences = append(differences, Difference{Name: name, Is: recorded[name], Same: true})
	}
	return differences
}

// membersOf returns the members of a JSON object as texts. Null and empty values are left out.
func membersOf(raw json.RawMessage) map[string]string {
	var object map[string]json.RawMessage
	_ = json.Unmarshal(raw, &object) // null, or an object
	members := map[string]string{}
	for name, value := range object {
		var words string
		if json.Unmarshal(value, &words) != nil {
			words = string(value)
		}
		if words != "" && words != "null" {
			members[name] = words
		}
	}
	return members
}
