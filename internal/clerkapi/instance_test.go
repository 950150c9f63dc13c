package clerkapi_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerkapi"
	"github.com/callmine/rolecall/internal/clerksim"
	clerksync "github.com/callmine/rolecall/sync"
)

func TestInstance(t *testing.T) {
	t.Parallel()
	world := newWorld(t, clerksim.Config{EnvironmentType: "production"})
	instance, err := serve(t, world.Handler()).Instance(t.Context())
	require.NoError(t, err)
	require.Equal(t, clerksync.Instance{ID: world.InstanceID(), Environment: "production"}, instance)

	for _, body := range []string{`{}`, `[]`, `null`, `{"id":"ins_1"}`, `{"environment_type":"production"}`} {
		_, err := answering(t, http.StatusOK, body).Instance(t.Context())
		require.ErrorIs(t, err, clerkapi.ErrMalformed, body)
	}
}
