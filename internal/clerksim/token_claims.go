package clerksim

import (
	"slices"
	"strconv"
	"strings"
)

// addV1 adds an organization in the layout of version 1.
func addV1(claims map[string]any, organizationID, slug, roleKey string, permissions []string) {
	claims["org_id"] = organizationID
	claims["org_role"] = roleKey
	claims["org_permissions"] = permissions
	if slug != "" {
		claims["org_slug"] = slug
	}
}

// addV2 adds an organization in the layout of version 2: a permission org:<feature>:<action> is a
// bit. fea lists the features, o.per the actions, and o.fpm has one mask of actions for each
// feature, the lowest bit for the first action.
func addV2(claims map[string]any, organizationID, slug, roleKey string, permissions []string) {
	organization := map[string]any{"id": organizationID, "rol": strings.TrimPrefix(roleKey, "org:")}
	if slug != "" {
		organization["slg"] = slug
	}
	claims["o"] = organization
	if len(permissions) == 0 {
		return
	}
	features, actions, masks := packPermissions(permissions)
	claims["fea"] = "o:" + strings.Join(features, ",o:")
	organization["per"] = strings.Join(actions, ",")
	organization["fpm"] = strings.Join(masks, ",")
}

func packPermissions(permissions []string) (features, actions, masks []string) {
	bits := make(map[string]uint64)
	for _, key := range permissions {
		feature, action, _ := strings.Cut(strings.TrimPrefix(key, "org:"), ":")
		if !slices.Contains(features, feature) {
			features = append(features, feature)
		}
		if !slices.Contains(actions, action) {
			actions = append(actions, action)
		}
		bits[feature] |= 1 << slices.Index(actions, action)
	}
	for _, feature := range features {
		masks = append(masks, strconv.FormatUint(bits[feature], 10))
	}
	return features, actions, masks
}
