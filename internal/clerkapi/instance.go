package clerkapi

import (
	"context"
	"fmt"

	clerksync "github.com/callmine/rolecall/sync"
)

// environmentProduction is the environment_type of an instance with Clerk's full rate limit.
const environmentProduction = "production"

// Instance asks which instance the secret key belongs to. From then on the budget goes by the kind
// of that instance, unless a rate was configured.
func (c *Client) Instance(ctx context.Context) (clerksync.Instance, error) {
	var body struct {
		ID          string `json:"id"`
		Environment string `json:"environment_type"`
	}
	if err := c.get(ctx, at("/instance"), &body); err != nil {
		return clerksync.Instance{}, fmt.Errorf("ask for instance: %w", err)
	}
	if body.ID == "" || body.Environment == "" {
		return clerksync.Instance{}, fmt.Errorf("ask for instance: %w", malformed("the instance has no id or no environment"))
	}
	c.budget.fit(body.Environment)
	return clerksync.Instance{ID: body.ID, Environment: body.Environment}, nil
}
