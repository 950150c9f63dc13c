package api

import (
	"net/http"

	"github.com/callmine/rolecall/store"
)

const (
	// headerLastEvent is the header in which a browser's EventSource says, when it connects again,
	// which event it got last. It repeats the first query then, so the header counts more.
	headerLastEvent = "Last-Event-ID"
	// latest stands for the cursor after all changes so far.
	latest = "latest"
)

// readPlace reads the place after which a consumer wants changes.
func (asked *feedRequest) readPlace(q query, r *http.Request) (err error) {
	if last := r.Header.Values(headerLastEvent); len(last) > 0 && wantsEvents(r) {
		if len(last) == 1 {
			asked.query.After, err = store.ParseFeedPlace(last[0])
		}
		if len(last) > 1 || err != nil {
			return badRequest("Last-Event-ID must be given once, as the id of an event.")
		}
		return nil
	}
	after, given := q["after"]
	switch {
	case !given:
		return nil
	case after == latest:
		asked.query.Latest = true
		return nil
	}
	if asked.query.After, err = store.ParseFeedPlace(after); err != nil {
		return badRequest("after must be the cursor of a change, the next_cursor of an answer, or latest.")
	}
	return nil
}
