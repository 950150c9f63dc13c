package support_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	clerksync "github.com/callmine/rolecall/sync"
)

func TestFailure_IsOneLine(t *testing.T) {
	t.Parallel()
	require.Equal(t, "undecodable delivery: no id; no role", support.Failure("undecodable delivery: no id\nundecodable delivery: no role"))
	require.Equal(t, "connection refused", support.Failure("connection refused"))
	require.Empty(t, support.Failure(""))
}

func TestEntry_Change(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]clerksync.LoggedEntry{
		"":                             {Before: json.RawMessage(`[]`)},
		"role: org:admin":              {After: json.RawMessage(`{"membership_id":"orgmem_1","role":"org:admin","banned":true}`)},
		"banned: false → true":         {Action: clerksync.ActionUserRestated, Before: json.RawMessage(`{"banned":false}`), After: json.RawMessage(`{"banned":true}`)},
		"role was org:admin":           {Before: json.RawMessage(`{"role":"org:admin","role_id":"role_1"}`)},
		"name: a → b, slug: c":         {Before: json.RawMessage(`{"name":"a","same":1}`), After: json.RawMessage(`{"slug":"c","name":"b","same":1}`)},
		`role: 1 → [2], report_id: q3`: {Before: json.RawMessage(`{"role":1}`), After: json.RawMessage(`{"role":[2]}`), Data: json.RawMessage(`{"report_id":"q3"}`)},
	} {
		require.Equal(t, want, support.Entry{LoggedEntry: e, Differences: support.Differences(e)}.Change())
	}
}
