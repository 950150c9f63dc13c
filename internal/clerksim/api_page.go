package clerksim

import (
	"cmp"
	"hash/fnv"
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

// byCreation is the order that every list has, newest first unless asked otherwise.
const byCreation = "created_at"

func listParameters() []string { return []string{"limit", "offset", "order_by"} }

// unorderedParameters are those of the few lists with a fixed order.
func unorderedParameters() []string { return []string{"limit", "offset"} }

// pageRequest is the page that a query asks of a list.
type pageRequest struct {
	limit, offset int
	by            string
	descending    bool
}

func parsePage(query url.Values) (pageRequest, error) {
	page := pageRequest{limit: defaultLimit, by: byCreation, descending: true}
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
	if raw := query.Get("order_by"); raw != "" {
		page.by, page.descending = strings.CutPrefix(raw, "-")
		if !page.descending {
			page.by = strings.TrimPrefix(raw, "+")
		}
	}
	return page, nil
}

// orders are the orders of a list beside created_at, by the name that order_by takes.
type orders[R row] map[string]func(a, b R) int

// sorted returns the rows, which come oldest first, in the order that the page asks for, except for
// the direction. An unescaped plus in order_by arrives as a blank. That isn't the intended order,
// so it is refused.
func (o orders[R]) sorted(rows []R, page pageRequest) ([]R, error) {
	if page.by == byCreation {
		return rows, nil
	}
	compare, known := o[page.by]
	if !known {
		return nil, refuseParam(ErrInvalid, "order_by", "this list can't be ordered by %q", page.by)
	}
	return slices.SortedStableFunc(slices.Values(rows), compare), nil
}

// take returns the rows of one page out of rows in ascending order.
func take[R any](rows []R, page pageRequest) []R {
	from, to := page.span(len(rows))
	taken := slices.Clone(rows[from:to])
	if page.descending {
		slices.Reverse(taken)
	}
	return taken
}

// span is where the page lies in n rows in ascending order.
func (p pageRequest) span(n int) (from, to int) {
	from = min(p.offset, n)
	to = min(from+p.limit, n)
	if p.descending {
		return n - to, n - from
	}
	return from, to
}

// takeUnstable is [take] for an order by created_at that leaves rows of one millisecond in any
// order. Each salt orders them differently, so that pages of several calls repeat some rows and
// skip others.
func takeUnstable[R row](rows []R, page pageRequest, salt uint64) []R {
	from, to := page.span(len(rows))
	if from == to {
		return nil
	}
	low, high := from, to
	for low > 0 && rows[low-1].place().createdAt == rows[from].place().createdAt {
		low--
	}
	for high < len(rows) && rows[high].place().createdAt == rows[to-1].place().createdAt {
		high++
	}
	around := slices.SortedFunc(slices.Values(rows[low:high]), func(a, b R) int {
		x, y := a.place(), b.place()
		return cmp.Or(cmp.Compare(x.createdAt, y.createdAt), cmp.Compare(x.salted(salt), y.salted(salt)))
	})
	return take(around[from-low:to-low], pageRequest{limit: to - from, descending: page.descending})
}

// salted is a number that depends on the id and the salt. The salt goes first: the last bytes
// hardly change an FNV sum.
func (e *entry) salted(salt uint64) uint64 {
	hash := fnv.New64a()
	_, _ = hash.Write(append(strconv.AppendUint(nil, salt, 10), e.id...)) // never fails, says package hash
	return hash.Sum64()
}

// checkParameters refuses parameters that would change Clerk's answer and not the simulator's.
func checkParameters(req *http.Request, known []string) error {
	for name := range req.URL.Query() {
		if !slices.Contains(known, name) {
			return refuseParam(ErrUnsimulated, name, "the simulator doesn't know the parameter %q here", name)
		}
	}
	return nil
}
