package clerkapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	clerksync "github.com/callmine/rolecall/sync"
)

// saysGone reports whether Clerk itself said that an object doesn't exist. A 404 of a proxy, of a
// wrong path or of a feature that is off doesn't say so.
func saysGone(err error) bool {
	refusal, ok := errors.AsType[*Error](err)
	return ok && refusal.Status == http.StatusNotFound &&
		slices.Contains([]string{"resource_not_found", "organization_not_found", "organization_invitation_not_found"}, refusal.Code)
}

// unlessGone returns nil if err says that a list doesn't exist and one of its owners doesn't exist
// either: the list is empty then. If all owners exist, Clerk has refused the list, and unlessGone
// returns err.
func (c *Client) unlessGone(ctx context.Context, err error, owners ...endpoint) error {
	if !saysGone(err) {
		return err
	}
	for _, owner := range owners {
		var object json.RawMessage
		failed := c.get(ctx, owner, &object)
		if saysGone(failed) {
			return nil
		}
		if failed != nil {
			return failed
		}
	}
	return err
}

func organizationAt(id string) endpoint { return at("/organizations/{organization_id}", id) }

func userAt(id string) endpoint { return at("/users/{user_id}", id) }

// cursorUnknown reports whether a page was refused because of the id that it begins after.
func cursorUnknown(err error, r clerksync.PageRequest) bool {
	refusal, ok := errors.AsType[*Error](err)
	return ok && r.After != "" && refusal.kind == nil &&
		slices.Contains([]int{http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity}, refusal.Status)
}
