package clerkapi

import (
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

// TestReadOnly_SendsNothingButGET, whichever method of the client is called. Nothing has changed
// then, and callers are told so.
func TestReadOnly_SendsNothingButGET(t *testing.T) {
	t.Parallel()
	sent := []string{}
	client, err := New(Config{
		SecretKey: "sk_test_1", CallsPerSecond: 100, ReadOnly: true, Logger: slog.New(slog.DiscardHandler),
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			sent = append(sent, r.Method)
			return answerOf(http.StatusOK, `{"id":"ins_1","environment_type":"development"}`), nil
		}),
	})
	require.NoError(t, err)
	ctx := t.Context()
	for _, change := range []func() error{
		func() error { _, err := client.CreateOrganization(ctx, "A", "user_1", ""); return err },
		func() error { _, err := client.UpdateOrganization(ctx, "org_1", "A"); return err },
		func() error { _, err := client.UpdateMembership(ctx, "org_1", "user_1", "org:admin"); return err },
		func() error { _, err := client.DeleteMembership(ctx, "org_1", "user_1"); return err },
		func() error {
			_, err := client.CreateInvitation(ctx, "org_1", "user_1", "a@example.test", "org:admin")
			return err
		},
		func() error { _, err := client.RevokeInvitation(ctx, "org_1", "orginv_1", "user_1"); return err },
	} {
		err := change()
		require.ErrorContains(t, err, "this client only reads")
		require.NotErrorIs(t, err, clerksync.ErrOutcomeUnknown)
	}
	require.Empty(t, sent)
	_, err = client.Instance(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{http.MethodGet}, sent)
}
