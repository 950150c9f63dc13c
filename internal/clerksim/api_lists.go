package clerksim

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The page sizes of every list (Backend API document, LimitParameter).
const (
	defaultLimit = 10
	maxLimit     = 500
)

// maxFilterIDs is how many ids a filter takes (Backend API document, user_id of several lists).
const maxFilterIDs = 100

const (
	includeCount  = "include_members_count"
	startingAfter = "starting_after"
)

func listParameters() []string { return []string{"limit", "offset", "order_by"} }

// listBody is every list but the one of users.
type listBody struct {
	Data       []json.RawMessage `json:"data"`
	TotalCount int               `json:"total_count"`
}

// pageRequest is what the query asks of a list. Lists are ordered by created_at, newest first unless asked otherwise.
type pageRequest struct {
	limit, offset int
	oldestFirst   bool
}

func parsePage(query url.Values) (pageRequest, error) {
	page := pageRequest{limit: defaultLimit}
	var err error
	if raw := query.Get("limit"); raw != "" {
		if page.limit, err = strconv.Atoi(raw); err != nil || page.limit < 1 || page.limit > maxLimit {
			return page, refuseParam(ErrInvalid, "limit", "limit must be 1 to %d, not %q", maxLimit, raw)
		}
	}
	if raw := query.Get("offset"); raw != "" {
		if page.offset, err = strconv.Atoi(raw); err != nil || page.offset < 0 {
			return page, refuseParam(ErrInvalid, "offset", "offset must be 0 or more, not %q", raw)
		}
	}
	switch raw := query.Get("order_by"); raw {
	case "", "-created_at":
	case "created_at", "+created_at":
		page.oldestFirst = true
	default:
		// A plus that wasn't escaped arrives as a blank, and then isn't the order that was meant.
		return page, refuseParam(ErrInvalid, "order_by", "order_by must be +created_at or -created_at, not %q", raw)
	}
	return page, nil
}

// take returns the rows of one page out of rows, which are oldest first.
func take[R any](rows []R, page pageRequest) []R {
	from := min(page.offset, len(rows))
	to := min(from+page.limit, len(rows))
	if page.oldestFirst {
		return slices.Clone(rows[from:to])
	}
	newest := slices.Clone(rows[len(rows)-to : len(rows)-from])
	slices.Reverse(newest)
	return newest
}

// checkParameters refuses what would change Clerk's answer and not the simulator's.
func checkParameters(req *http.Request, known []string) error {
	for name := range req.URL.Query() {
		if !slices.Contains(known, name) {
			return refuseParam(ErrUnsimulated, name, "the simulator doesn't know the parameter %q here", name)
		}
	}
	return nil
}

// idFilter is a filter by id: ids to include, or with a minus ids to exclude. A plus is allowed.
type idFilter struct{ include, exclude []string }

func parseIDFilter(query url.Values, name string) (idFilter, error) {
	var filter idFilter
	if len(query[name]) > maxFilterIDs {
		return filter, refuseParam(ErrInvalid, name, "at most %d ids", maxFilterIDs)
	}
	for _, id := range query[name] {
		if excluded, ok := strings.CutPrefix(id, "-"); ok {
			filter.exclude = append(filter.exclude, excluded)
		} else {
			filter.include = append(filter.include, strings.TrimLeft(id, "+ ")) // a blank was a plus
		}
	}
	return filter, nil
}

func (f idFilter) empty() bool { return len(f.include) == 0 && len(f.exclude) == 0 }

func (f idFilter) matches(id string) bool {
	if len(f.include) > 0 && !slices.Contains(f.include, id) {
		return false
	}
	return !slices.Contains(f.exclude, id)
}

// filterRows returns the rows whose id matches; without a filter the rows themselves.
func filterRows[R any](rows []R, filter idFilter, id func(R) string) []R {
	if filter.empty() {
		return rows
	}
	var matching []R
	for _, r := range rows {
		if filter.matches(id(r)) {
			matching = append(matching, r)
		}
	}
	return matching
}
