package clerksim_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

// TestFeatures_OffAreRefused with Clerk's code and words. Their objects are shown again once they
// are on.
func TestFeatures_OffAreRefused(t *testing.T) {
	t.Parallel()
	a := newFaultyAPI(t, clerksim.Config{})
	paths := map[string]clerksim.Feature{
		"/v1/users": "", "/v1/users/count": "", "/v1/instance": "", "/v1/domains": "", "/v1/organizations": clerksim.FeatureOrganizations,
		"/v1/organization_memberships": clerksim.FeatureOrganizations, "/v1/organization_invitations": clerksim.FeatureOrganizations,
		"/v1/organization_roles": clerksim.FeatureOrganizations, "/v1/role_sets": clerksim.FeatureOrganizations,
		"/v1/organization_domains": clerksim.FeatureDomains, "/v1/billing/plans": clerksim.FeatureBilling,
	}
	require.NotEmpty(t, a.world.AddPlan("Pro", clerksim.PayerOrganization))
	a.world.SetFeature(clerksim.FeatureBilling, true)
	for off, code := range map[clerksim.Feature]clerksim.Code{
		clerksim.FeatureOrganizations: "organization_not_enabled_in_instance", clerksim.FeatureDomains: "organization_domains_not_enabled",
		clerksim.FeatureBilling: clerksim.ErrBillingOff,
	} {
		a.world.SetFeature(off, false)
		for path, of := range paths {
			status, _, body := a.get(t, path)
			if of != off && (of != clerksim.FeatureDomains || off != clerksim.FeatureOrganizations) {
				require.Equal(t, http.StatusOK, status, "%s without %s", path, off)
				continue
			}
			require.Equal(t, http.StatusForbidden, status, "%s without %s", path, off)
			require.Contains(t, string(body), `"code":"`+string(code)+`"`)
		}
		a.world.SetFeature(off, true)
	}
}

func TestPlans_ListedByPayer(t *testing.T) {
	t.Parallel()
	a := newFaultyAPI(t, clerksim.Config{})
	a.world.SetFeature(clerksim.FeatureBilling, true)
	a.world.AddPlan("Free", clerksim.PayerUser)
	team := a.world.AddPlan("Team", clerksim.PayerOrganization)
	_, _, body := a.get(t, "/v1/billing/plans?payer_type=org")
	var plans struct {
		Data []struct {
			ID    string `json:"id"`
			Payer string `json:"for_payer_type"`
		} `json:"data"`
		Total int `json:"total_count"`
	}
	require.NoError(t, json.Unmarshal(body, &plans))
	require.Equal(t, 1, plans.Total)
	require.Equal(t, team, plans.Data[0].ID)
	require.Equal(t, "org", plans.Data[0].Payer)
	_, _, body = a.get(t, "/v1/billing/plans")
	require.Equal(t, 2, strings.Count(string(body), `"commerce_plan"`))
}

func TestFault_MayHaveACode(t *testing.T) {
	t.Parallel()
	a := newFaultyAPI(t, clerksim.Config{})
	a.faults.FailWithCode(http.StatusPaymentRequired, "plan_too_small", clerksim.OnRoute(membershipRoute))
	status, _, body := a.get(t, "/v1/organization_memberships")
	require.Equal(t, http.StatusPaymentRequired, status)
	require.Contains(t, string(body), `"code":"plan_too_small"`)
	require.NotContains(t, string(body), `"clerk_trace_id":""`)
}
