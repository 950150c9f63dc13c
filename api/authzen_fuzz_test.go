package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/policy"
	clerksync "github.com/callmine/rolecall/sync"
)

// FuzzQuestions: any body is read or refused with 400. What is read is what another decoder reads,
// and the order of members and unknown ones don't change it.
func FuzzQuestions(f *testing.F) {
	for _, c := range evaluationsCases() {
		f.Add([]byte(c.body))
	}
	for _, c := range evaluationCases() {
		f.Add([]byte(c.body))
	}
	for _, c := range searchCases() {
		f.Add([]byte(c.body))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		body, err := readBody(t, text)
		if err != nil {
			requireBadRequest(t, err)
			return
		}
		canonical := jsontext.Value(bytes.Clone(text))
		require.NoError(t, canonical.Canonicalize())
		again, err := readBody(t, append(bytes.TrimSuffix(canonical, []byte("}")), `,"unknown":{}}`...))
		if bytes.Equal(canonical, []byte("{}")) || bytes.Contains(canonical, []byte(`"unknown"`)) {
			again, err = readBody(t, canonical)
		}
		require.NoError(t, err)
		var other map[string]any
		require.NoError(t, json.Unmarshal(text, &other))
		for _, open := range []sought{nothing, subjects, resources, actions} {
			q, err := body.question(open)
			if err != nil {
				requireBadRequest(t, err)
				continue
			}
			requireSame(t, q, open, other)
			q2, err := again.question(open)
			require.NoError(t, err)
			requirePage(t, body, again, q, q2, open)
		}
		items, err := body.items()
		if err != nil {
			requireBadRequest(t, err)
			return
		}
		require.LessOrEqual(t, len(items), maxChecks)
		for _, it := range items {
			if it.fault != nil {
				requireBadRequest(t, it.fault)
				continue
			}
			require.NotEmpty(t, it.subject.ID)
			require.NotEmpty(t, it.action)
		}
	})
}

func readBody(t *testing.T, text []byte) (questionsBody, error) {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, pathEvaluations, bytes.NewReader(text))
	request.Header.Set("Content-Type", "application/json")
	return readQuestions(httptest.NewRecorder(), request)
}

func requireBadRequest(t *testing.T, err error) {
	t.Helper()
	p, ours := problemFor(err)
	require.False(t, ours, "%v", err)
	require.Equal(t, http.StatusBadRequest, p.Status)
	require.NotEmpty(t, p.Detail)
}

// requireSame compares a question with what another decoder reads.
func requireSame(t *testing.T, q question, open sought, other map[string]any) {
	t.Helper()
	member := func(entity, name string) any { return other[entity].(map[string]any)[name] }
	require.Equal(t, member("subject", "type"), q.subject.Type)
	require.Equal(t, member("resource", "type"), q.resource.Type)
	if open != subjects {
		require.Equal(t, member("subject", "id"), q.subject.ID)
	}
	if open != resources {
		require.Equal(t, member("resource", "id"), q.resource.ID)
	}
	if open != actions {
		require.Equal(t, member("action", "name"), q.action)
	}
	properties, _ := member("resource", "properties").(map[string]any) // or none
	workspaceID, _ := properties["workspace_id"].(string)
	if policy := (&policy.Policy{}); !policy.IsWorkspaceType(q.resource.Type) {
		require.Equal(t, workspaceID, q.resource.workspace(policy))
	}
	if pair, ok := q.pair(&policy.Policy{}); ok {
		require.True(t, clerksync.Storable(pair.UserID) && clerksync.Storable(pair.OrganizationID))
	}
}

// requirePage requires that a token of a question is one of the same question in another form.
func requirePage(t *testing.T, body, again questionsBody, q, q2 question, open sought) {
	t.Helper()
	page, err := body.page(q, open)
	if err != nil {
		requireBadRequest(t, err)
		return
	}
	require.True(t, page.limit >= 1 && page.limit <= maxLimit)
	page2, err := again.page(q2, open)
	require.NoError(t, err)
	require.Equal(t, page, page2)
	token, err := json.Marshal(page.tokenAfter("place"))
	require.NoError(t, err)
	continued, err := page2.continued(token, true)
	require.NoError(t, err)
	require.Equal(t, "place", continued.after)
}
