package service_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOwnRole_CannotBeRaised by a member, nor by an admin who stepped down.
func TestOwnRole_CannotBeRaised(t *testing.T) {
	t.Parallel()
	h := openHouse(t, nil)
	alex, robin := h.person("Alex"), h.person("Robin")
	north := h.create(alex, "North")
	h.join(alex, north, robin, "member")
	before := h.writes()
	refused := h.must(http.StatusForbidden, robin.token, http.MethodPatch, at(north, "members", robin.id), `{"role":"admin"}`)
	require.Equal(t, "urn:rolecall:problem:forbidden", refused.body["type"])
	require.Equal(t, before, h.writes())
	h.must(http.StatusOK, alex.token, http.MethodPatch, at(north, "members", robin.id), `{"role":"admin"}`)
	h.must(http.StatusOK, alex.token, http.MethodPatch, at(north, "members", alex.id), `{"role":"member"}`)
	before = h.writes()
	h.must(http.StatusForbidden, alex.token, http.MethodPatch, at(north, "members", alex.id), `{"role":"admin"}`)
	require.Equal(t, before, h.writes())
}
