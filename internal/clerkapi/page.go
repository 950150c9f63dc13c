package clerkapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	clerksync "github.com/callmine/rolecall/sync"
)

// maxLimit is the largest page of every list (Backend API document, LimitParameter).
const maxLimit = 500

// oldestFirst is an order that every list knows. With the newest first, new objects would push
// others onto the next page.
const oldestFirst = "+created_at"

func checkPageRequest(resource clerksync.Resource, r clerksync.PageRequest) error {
	switch {
	case r.Limit < 1 || r.Limit > maxLimit:
		return fmt.Errorf("invalid limit %d, want 1 to %d", r.Limit, maxLimit)
	case r.Offset < 0:
		return fmt.Errorf("invalid offset %d", r.Offset)
	case r.After != "" && resource != clerksync.ResourceUser:
		return errors.New("only users can be listed from an id on")
	case r.After != "" && r.Offset != 0:
		return errors.New("a page begins at an offset or after an id, not both")
	}
	for _, id := range []string{r.After, r.OrganizationID} {
		if id != "" {
			if err := checkID(id); err != nil {
				return err
			}
		}
	}
	return nil
}

// addPage adds the parameters of one page.
func addPage(query url.Values, r clerksync.PageRequest) {
	query.Set("order_by", oldestFirst)
	query.Set("limit", strconv.Itoa(r.Limit))
	if r.After != "" {
		query.Set("starting_after", r.After)
	} else {
		query.Set("offset", strconv.Itoa(r.Offset))
	}
}

// listBody is the form of all lists but that of users.
type listBody struct {
	Data       []json.RawMessage `json:"data"`
	TotalCount *int              `json:"total_count"`
}

func (b listBody) page(limit int) (clerksync.Page, error) {
	if b.TotalCount == nil || *b.TotalCount < 0 {
		return clerksync.Page{}, malformed("the list has no total_count")
	}
	if err := checkObjects(b.Data, limit); err != nil {
		return clerksync.Page{}, err
	}
	return clerksync.Page{Objects: b.Data, Total: *b.TotalCount}, nil
}

// checkObjects returns an error unless this is a page of at most limit objects. It doesn't look
// into them.
func checkObjects(objects []json.RawMessage, limit int) error {
	if objects == nil {
		return malformed("the list has no array")
	}
	if len(objects) > limit {
		return malformed("the list has %d objects where %d were asked for", len(objects), limit)
	}
	return nil
}

func idOf(object json.RawMessage) (string, error) {
	var body struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(object, &body); err != nil || body.ID == "" {
		return "", malformed("the object has no id")
	}
	return body.ID, nil
}
