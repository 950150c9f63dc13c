package clerksim

import "strings"

// Feature is a feature of Clerk that can be on or off in an instance.
type Feature string

// The features. A new world has all of them but Billing.
const (
	FeatureOrganizations Feature = "organizations"
	FeatureDomains       Feature = "domains" // verified domains of organizations
	FeatureBilling       Feature = "billing"
)

// SetFeature turns a feature of the instance on or off, as Clerk's dashboard does. While it is off,
// the Backend API refuses its paths. Its objects stay, and are shown again later.
func (w *World) SetFeature(feature Feature, on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.features[feature] = on
}

// featureOf returns the feature of a path of the Backend API; "" for paths that every instance has.
func featureOf(path string) Feature {
	switch {
	case strings.HasPrefix(path, "/billing"):
		return FeatureBilling
	case strings.Contains(path, "organization") && strings.Contains(path, "domain"):
		return FeatureDomains
	case strings.Contains(path, "organization"), path == "/role_sets":
		return FeatureOrganizations
	default:
		return ""
	}
}

// checkFeature refuses a path whose feature is off.
func (w *World) checkFeature(path string) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	feature := featureOf(path)
	switch {
	case feature == "":
		return nil
	case feature != FeatureBilling && !w.features[FeatureOrganizations]:
		return refuse(ErrOrganizationsOff, "The organizations feature is not enabled for this instance.")
	case w.features[feature]:
		return nil
	case feature == FeatureDomains:
		return refuse(ErrDomainsOff, "This instance does not have domains enabled for organizations.")
	default:
		return refuse(ErrBillingOff, "Billing is not enabled for this instance.")
	}
}
