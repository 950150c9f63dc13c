package clerkapi_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerkapi"
	"github.com/callmine/rolecall/internal/clerksim"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestBilling: Clerk's answer says whether Billing is on for organizations. If it doesn't, the call
// fails.
func TestBilling(t *testing.T) {
	t.Parallel()
	const user, org = `{"id":"cplan_1","for_payer_type":"user"}`, `{"id":"cplan_2","for_payer_type":"org"}`
	for name, c := range map[string]struct {
		status  int
		body    string
		want    clerksync.Billing
		unknown error
	}{
		"a plan":              {200, list("1", org), clerksync.Billing{On: true, Plans: 1}, nil},
		"both":                {200, list("2", org, user), clerksync.Billing{On: true, Plans: 1}, nil},
		"one of nobody":       {200, list("1", `{"id":"cplan_3"}`), clerksync.Billing{On: true, Plans: 1}, nil},
		"for users alone":     {200, list("1", user), clerksync.Billing{}, nil},
		"more than a page":    {200, list("9", user), clerksync.Billing{On: true}, nil},
		"none yet":            {200, list("0"), clerksync.Billing{On: true}, nil},
		"off":                 {403, `{"errors":[{"code":"billing_not_enabled"}]}`, clerksync.Billing{}, nil},
		"unknown to Clerk":    {404, notFound, clerksync.Billing{}, nil},
		"refused as a value":  {422, featureOff, clerksync.Billing{}, nil},
		"a wrong key":         {401, featureOff, clerksync.Billing{}, clerkapi.ErrUnauthorized},
		"too many":            {429, tooMany, clerksync.Billing{}, clerkapi.ErrRateLimited},
		"an outage":           {503, "", clerksync.Billing{}, clerkapi.ErrUnavailable},
		"a proxy":             {403, "<html>", clerksync.Billing{}, clerkapi.ErrMalformed},
		"a proxy's all right": {200, "{}", clerksync.Billing{}, clerkapi.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, clerkapi.Config{Transport: always(c.status, c.body)})
			ctx := clerkapi.Interactive(t.Context(), clerkapi.ForStranger) // isn't tried again
			billing, err := client.Billing(ctx)
			require.ErrorIs(t, err, c.unknown)
			require.Equal(t, c.want, billing)
		})
	}
}

func TestBilling_OfTheSimulator(t *testing.T) {
	t.Parallel()
	world := newWorld(t, clerksim.Config{})
	client := serve(t, world.Handler())
	billing, err := client.Billing(t.Context())
	require.NoError(t, err)
	require.False(t, billing.On)
	world.SetFeature(clerksim.FeatureBilling, true)
	world.AddPlan("Team", clerksim.PayerOrganization)
	billing, err = client.Billing(t.Context())
	require.NoError(t, err)
	require.Equal(t, clerksync.Billing{On: true, Plans: 1}, billing)
}
