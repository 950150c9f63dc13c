package clerksim

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// list answers one page of rows, which come oldest first, in the usual form. It must be called with
// the world's lock held.
func list[R row](a *api, req *http.Request, rows []R, orders orders[R], body func(R) any) (any, error) {
	page, err := parsePage(req.URL.Query())
	if err != nil {
		return nil, err
	}
	distorted := distortionOf(req)
	rows = visible(rows, distorted)
	total := len(rows) + distorted.miscount
	if rows, err = orders.sorted(rows, page); err != nil {
		return nil, err
	}
	var taken []R
	if a.world.cfg.UnstableTies && page.by == byCreation {
		taken = takeUnstable(rows, page, a.world.listings.Add(1))
	} else {
		taken = take(rows, page)
	}
	return arrayOf(`{"data":[`, shorten(taken, distorted), body, `],"total_count":`+strconv.Itoa(total)+`}`), nil
}

// arrayOf returns before, the rows' bodies with commas between them, and behind. The array's
// brackets are in before and behind. A page of 500 is more than half a megabyte, so it is copied
// only once.
func arrayOf[R row](before string, rows []R, body func(R) any, behind string) json.RawMessage {
	bodies := make([]json.RawMessage, len(rows))
	size := len(before) + len(behind) + len(rows)
	for i, r := range rows {
		bodies[i] = withUnknownField(r.place().id, body(r))
		size += len(bodies[i])
	}
	array := append(make(json.RawMessage, 0, size), before...)
	for i, one := range bodies {
		if i > 0 {
			array = append(array, ',')
		}
		array = append(array, one...)
	}
	return append(array, behind...)
}
