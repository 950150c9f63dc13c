package api

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWorkspaceName_RefusesInvisibleNames: it also refuses names that are shown as another text.
func TestWorkspaceName_RefusesInvisibleNames(t *testing.T) {
	t.Parallel()
	for what, name := range map[string]string{
		"zero width": "\u200b", "byte order mark": "\ufeff", "joiners": "\u200d\u200c", "right to left": "invoice\u202etxt.exe", "isolate": "a\u2066b",
		"embedding": "a\u202ab", "end of an embedding": "a\u202cb", "end of an isolate": "a\u2069b", "marks alone": "\u200e\u200f\u061c",
		"line separator": "North\u2028Admin", "filler": "\u3164", "accent alone": "\u0301", "bell": "a\ab",
	} {
		_, err := workspaceName(name)
		require.Error(t, err, what)
	}
	for _, name := range []string{"North", "  北 ", "👨\u200d👩\u200d👧", "Zoë & Söhne", "क्षत्रिय", "שלום", "-", "\u200fשלום\u200e (2)", "\u061cسلام"} {
		_, err := workspaceName(name)
		require.NoError(t, err, name)
	}
}

// TestEmail_RefusesInvisibleAddresses: an invisible character makes an address look like another
// one.
func TestEmail_RefusesInvisibleAddresses(t *testing.T) {
	t.Parallel()
	for what, address := range map[string]string{
		"zero width": "\u200bkim@callmine.test", "right to left": "kim\u202enimda@callmine.test", "in the domain": "kim@call\u200bmine.test",
		"address literal": "kim@[127.0.0.1]", "name": "Kim <kim@callmine.test>", "two": "a@callmine.test, b@callmine.test",
	} {
		_, err := email(address)
		require.Error(t, err, what)
	}
	for _, address := range []string{"kim@callmine.test", "kim+billing.x@sub.callmine.test", "zoë@callmine.test", "o'hara@callmine.test"} {
		_, err := email(address)
		require.NoError(t, err, address)
	}
}

// TestReadObject_RefusesAmbiguousMembers: a proxy could read another command from a body with
// duplicate names, or names in another case.
func TestReadObject_RefusesAmbiguousMembers(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	workspace, admin, member := b.team()
	before := b.changes()
	for _, body := range []string{
		`{"role":"member","role":"admin"}`, `{"role":"member","Role":"admin"}`, `{"ROLE":"admin"}`, `{"role":"admin"}{}`, `["role"]`, `null`, "{\"role\":\"\xff\"}",
	} {
		x := b.command(admin, http.MethodPatch, "/v1/workspaces/"+workspace+"/members/"+member, body)
		require.Equal(t, http.StatusBadRequest, x.status, "%s: %s", body, x.body)
	}
	require.Equal(t, before, b.changes())
	const check = `{"user_id":"user_1","workspace_id":"org_1","permission":"reports:read"}`
	for _, body := range []string{
		`{"checks":[],"checks":[` + check + `]}`, `{"Checks":[` + check + `]}`, `{"checks":[{"user_id":"user_1","workspace_id":"org_1","permission":"a","permission":"b"}]}`,
	} {
		require.Equal(t, http.StatusBadRequest, b.post(serviceToken, body).status, body)
	}
	require.Equal(t, http.StatusOK, b.post(serviceToken, `{"checks":[`+check+`]}`).status)
}
