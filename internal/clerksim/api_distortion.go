package clerksim

import (
	"context"
	"net/http"
	"slices"
)

// distortion is the change that [APIFaults] make to the content of one answer; its zero value
// changes nothing. The handlers apply it, because only they have the rows from which a page is
// made. So hidden rows aren't counted either.
type distortion struct {
	hidden     []string // ids of objects that are missing from the answer
	empty      bool     // all objects are missing from the answer
	short      int      // how many objects a page lacks at its end
	miscount   int      // added to total_count
	instanceID string   // instead of the world's, unless empty
}

type distortionKey struct{}

func (d distortion) into(req *http.Request) *http.Request {
	return req.WithContext(context.WithValue(req.Context(), distortionKey{}, d))
}

func distortionOf(req *http.Request) distortion {
	d, _ := req.Context().Value(distortionKey{}).(distortion)
	return d
}

func visible[R row](rows []R, d distortion) []R {
	if d.empty {
		return nil
	}
	return filterRows(rows, idFilter{exclude: d.hidden}, rowID)
}

func shorten[R any](page []R, d distortion) []R {
	return page[:max(0, len(page)-d.short)]
}

// checkVisible refuses to show one object that is to be hidden.
func checkVisible(req *http.Request, id string) error {
	if d := distortionOf(req); d.empty || slices.Contains(d.hidden, id) {
		return refuse(ErrNotFound, "%s is hidden by a fault", id)
	}
	return nil
}
