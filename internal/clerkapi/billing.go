package clerkapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	clerksync "github.com/callmine/rolecall/sync"
)

// Billing asks whether Clerk Billing is on for organizations. It is on if Clerk lists plans, or
// lists none yet. It is off if all plans are for users, or if Clerk refuses the list. Any other
// answer is an error.
func (c *Client) Billing(ctx context.Context) (clerksync.Billing, error) {
	e := at("/billing/plans")
	e.query.Set("limit", strconv.Itoa(maxLimit))
	var body listBody
	err := c.get(ctx, e, &body)
	if refusal, ok := errors.AsType[*Error](err); ok && refusal.kind == nil && refusal.Status/100 == http.StatusBadRequest/100 {
		return clerksync.Billing{}, nil
	}
	if err != nil {
		return clerksync.Billing{}, fmt.Errorf("ask for billing plans: %w", err)
	}
	page, err := body.page(maxLimit)
	if err != nil {
		return clerksync.Billing{}, fmt.Errorf("ask for billing plans: %w", err)
	}
	plans := 0
	for _, raw := range page.Objects {
		if !forUsers(raw) {
			plans++
		}
	}
	return clerksync.Billing{On: plans > 0 || len(page.Objects) == 0 || len(page.Objects) < page.Total, Plans: plans}, nil
}

// forUsers reports whether users pay for a plan themselves. Only plans of organizations concern
// permissions.
func forUsers(raw json.RawMessage) bool {
	var plan struct {
		Payer string `json:"for_payer_type"`
	}
	return json.Unmarshal(raw, &plan) == nil && plan.Payer == "user"
}
