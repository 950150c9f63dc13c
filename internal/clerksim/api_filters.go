package clerksim

import (
	"net/url"
	"slices"
	"strings"
)

// maxFilterIDs is how many values a filter takes (Backend API document, user_id of several lists).
const maxFilterIDs = 100

// idFilter is a filter by id: ids to include, or with a minus ids to exclude. A plus is allowed.
type idFilter struct{ include, exclude []string }

func parseIDFilter(query url.Values, name string) (idFilter, error) {
	var filter idFilter
	values, err := manyValues(query, name)
	if err != nil {
		return filter, err
	}
	for _, id := range values {
		if excluded, ok := strings.CutPrefix(id, "-"); ok {
			filter.exclude = append(filter.exclude, excluded)
		} else {
			filter.include = append(filter.include, strings.TrimLeft(id, "+ ")) // a blank was a plus
		}
	}
	return filter, nil
}

// manyValues returns the values of a parameter that may be repeated, up to maxFilterIDs.
func manyValues(query url.Values, name string) ([]string, error) {
	if len(query[name]) > maxFilterIDs {
		return nil, refuseParam(ErrInvalid, name, "at most %d of %s", maxFilterIDs, name)
	}
	return query[name], nil
}

func (f idFilter) empty() bool { return len(f.include) == 0 && len(f.exclude) == 0 }

func (f idFilter) matches(id string) bool {
	return f.matchesAny(func(wanted string) bool { return wanted == id })
}

// matchesAny is matches for an object with several ids: one of them must be included, and none
// excluded.
func (f idFilter) matchesAny(has func(id string) bool) bool {
	return (len(f.include) == 0 || slices.ContainsFunc(f.include, has)) && !slices.ContainsFunc(f.exclude, has)
}

// filterRows returns the rows whose id matches; without a filter the rows themselves.
func filterRows[R row](rows []R, filter idFilter, id func(R) string) []R {
	if filter.empty() {
		return rows
	}
	return matching(rows, func(r R) bool { return filter.matches(id(r)) })
}

// pick is filterRows over a whole table by the rows' own ids. If ids are included, it looks only at
// those rows.
func (t *table[R]) pick(filter idFilter) []R {
	if len(filter.include) == 0 {
		return filterRows(t.ordered, filter, rowID)
	}
	var picked []R
	for _, id := range filter.include {
		if r, found := t.find(id); found && filter.matches(id) && !slices.Contains(picked, r) {
			picked = append(picked, r)
		}
	}
	slices.SortFunc(picked, compareRows)
	return picked
}

func matching[R any](rows []R, matches func(R) bool) []R {
	var found []R
	for _, r := range rows {
		if matches(r) {
			found = append(found, r)
		}
	}
	return found
}

// containsFold reports whether part occurs in text, whatever the case.
func containsFold(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

func rowID[R row](r R) string { return r.place().id }
