package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/auth"
	clerksync "github.com/callmine/rolecall/sync"
)

func TestProblemFor_TurnsErrorsIntoProblems(t *testing.T) {
	t.Parallel()
	wrap := func(err error) error { return fmt.Errorf("read standings: %w", err) }
	for name, test := range map[string]struct {
		err    error
		status int
		ours   bool
	}{
		"a problem":          {wrap(errNotFound), http.StatusNotFound, false},
		"refused":            {wrap(&auth.Error{Reason: auth.ReasonExpired}), http.StatusUnauthorized, false},
		"no keys":            {wrap(auth.ErrKeysUnavailable), http.StatusServiceUnavailable, true},
		"network":            {wrap(&net.OpError{Op: "dial", Err: errors.New("refused")}), http.StatusServiceUnavailable, true},
		"shutting down":      {wrap(&pgconn.PgError{Code: "57P01"}), http.StatusServiceUnavailable, true},
		"timed out":          {wrap(context.DeadlineExceeded), http.StatusServiceUnavailable, true},
		"caller gone":        {wrap(context.Canceled), http.StatusServiceUnavailable, false},
		"gone for keys":      {fmt.Errorf("%w: %w", auth.ErrKeysUnavailable, context.Canceled), http.StatusServiceUnavailable, false},
		"no such table":      {wrap(&pgconn.PgError{Code: "42P01"}), http.StatusInternalServerError, true},
		"anything else":      {errors.New("x"), http.StatusInternalServerError, true},
		"decision's refusal": {forbidden(clerksync.ReasonUnknownRole), http.StatusForbidden, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, ours := problemFor(test.err)
			require.Equal(t, test.status, p.Status)
			require.Equal(t, test.ours, ours)
		})
	}
}

// TestRefusal_ByReasonAndAccount: the refusal of a user's own request.
func TestRefusal_ByReasonAndAccount(t *testing.T) {
	t.Parallel()
	banned := clerksync.UserStatus{Banned: true}
	for _, test := range []struct {
		reason clerksync.Reason
		user   clerksync.UserStatus
		status int
		told   clerksync.Reason
	}{
		{clerksync.ReasonNotAMember, clerksync.UserStatus{}, http.StatusNotFound, ""},
		{clerksync.ReasonWorkspaceDeleted, clerksync.UserStatus{}, http.StatusNotFound, ""},
		{clerksync.ReasonNotAMember, banned, http.StatusForbidden, clerksync.ReasonUserBanned},
		{clerksync.ReasonWorkspaceDeleted, banned, http.StatusForbidden, clerksync.ReasonUserBanned},
		{clerksync.ReasonPermissionMissing, clerksync.UserStatus{}, http.StatusForbidden, clerksync.ReasonPermissionMissing},
		{clerksync.ReasonUnknownRole, clerksync.UserStatus{}, http.StatusForbidden, clerksync.ReasonUnknownRole},
	} {
		p, ok := errors.AsType[*problem](refusal(clerksync.Decision{Reason: test.reason}, test.user))
		require.True(t, ok)
		require.Equal(t, test.status, p.Status, test.reason)
		require.Equal(t, test.told, p.Reason, test.reason)
	}
}

// TestDocument_ListsProblemsAndReasons: programs depend on types and reasons, so the document lists
// them all.
func TestDocument_ListsProblemsAndReasons(t *testing.T) {
	t.Parallel()
	schemas := loadContract(t).doc.Components.Schemas
	var documented []string
	for _, value := range schemas["Problem"].Value.Properties["type"].Value.Enum {
		documented = append(documented, value.(string))
	}
	for _, p := range []*problem{
		errUnauthenticated, errNotFound, errMethodNotAllowed, errUsersOnly, errServicesOnly, errUnavailable, errInternal, errTooLarge, badRequest("x"), forbidden("x"),
	} {
		require.Contains(t, documented, p.Type)
		text, err := json.Marshal(p)
		require.NoError(t, err)
		require.NotContains(t, string(text), "retry")
	}
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(documented))), len(documented))

	for _, reason := range []clerksync.Reason{
		clerksync.ReasonAllowed, clerksync.ReasonPermissionMissing, clerksync.ReasonUnknownRole, clerksync.ReasonNotAMember,
		clerksync.ReasonWorkspaceDeleted, clerksync.ReasonUserDeleted, clerksync.ReasonUserBanned, clerksync.ReasonUserDeprovisioned,
	} {
		require.Contains(t, schemas["Reason"].Value.Enum, any(string(reason)))
	}
}
