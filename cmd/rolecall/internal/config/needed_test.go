package config

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestConfig_SettingsNameTheirNeed: a serve without settings names exactly the needed ones.
func TestConfig_SettingsNameTheirNeed(t *testing.T) {
	t.Parallel()
	var empty Config
	without := empty.RequireServing(Parts{Web: true, Workers: true}).Error() + "\n" + empty.RequireClerk().Error()
	for _, s := range Documented() {
		require.Equal(t, s.needed != "", strings.Contains(without, s.Name+" is missing"), s.Name)
	}
	applying := empty.RequireServing(Parts{Workers: true}).Error()
	for _, s := range Documented() {
		require.Equal(t, s.needed == "everything", strings.Contains(applying, s.Name+" is missing"), s.Name)
	}
}
