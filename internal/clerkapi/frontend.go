package clerkapi

import (
	"cmp"
	"context"
	"fmt"
	"strings"
)

// FrontendURL asks under which address Clerk serves the instance's Frontend API. It is the issuer
// of the instance's session tokens.
func (c *Client) FrontendURL(ctx context.Context) (string, error) {
	var body struct {
		Data []struct {
			Satellite bool   `json:"is_satellite"`
			URL       string `json:"frontend_api_url"`
			Proxy     string `json:"proxy_url"`
		} `json:"data"`
	}
	if err := c.get(ctx, at("/domains"), &body); err != nil {
		return "", fmt.Errorf("ask for the instance's domains: %w", err)
	}
	for _, d := range body.Data {
		if d.Satellite { // its users sign in at the primary domain
			continue
		}
		if url := cmp.Or(d.Proxy, d.URL); url != "" {
			return strings.TrimSuffix(url, "/"), nil
		}
	}
	return "", fmt.Errorf("ask for the instance's domains: %w", malformed("no primary domain has an address"))
}
