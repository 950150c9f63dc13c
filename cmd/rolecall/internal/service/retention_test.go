package service_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
)

// TestRetention_IsWhatIsSet: each life of jobs.Retention comes from a setting of its own.
func TestRetention_IsWhatIsSet(t *testing.T) {
	t.Parallel()
	var cfg config.Config
	fields, settings := reflect.ValueOf(&cfg).Elem(), int64(0)
	for i := range fields.NumField() {
		if name := fields.Type().Field(i).Name; strings.HasSuffix(name, "Retention") {
			settings++
			fields.Field(i).SetInt(settings)
		}
	}
	lives := reflect.ValueOf(service.RetentionOf(cfg))
	require.EqualValues(t, settings, lives.NumField())
	seen := map[int64]bool{}
	for i := range lives.NumField() {
		life := lives.Field(i).Int()
		require.Positive(t, life, lives.Type().Field(i).Name)
		require.False(t, seen[life], lives.Type().Field(i).Name)
		seen[life] = true
	}
}
