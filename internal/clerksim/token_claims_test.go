package clerksim_test

import (
	"fmt"
	"strconv"
	"strings"
)

// expand is the reading of a version 2 token's permissions, written from the layout's description.
func expand(features, actions, masks string) ([]string, error) {
	var permissions []string
	names, bits := strings.Split(actions, ","), strings.Split(masks, ",")
	for i, feature := range strings.Split(features, ",") {
		name, isOrganization := strings.CutPrefix(feature, "o:")
		if !isOrganization || i >= len(bits) {
			return nil, fmt.Errorf("feature %q has no mask", feature)
		}
		mask, err := strconv.ParseUint(bits[i], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read mask: %w", err)
		}
		for bit, action := range names {
			if mask&(1<<bit) != 0 {
				permissions = append(permissions, "org:"+name+":"+action)
			}
		}
	}
	return permissions, nil
}
