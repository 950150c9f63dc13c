package main

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

// TestNobodyRaisesThemselves: of one's own role one may only step down, also if the policy has several that manage members.
func TestNobodyRaisesThemselves(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(file, []byte("roles:\n  org:admin: [members:manage]\n  org:owner: [members:manage, billing:manage]\n  org:member: [reports:read]\n"), 0o600))
	h := openHouse(t, func(c *config) { c.PolicyFile = file })
	_, err := h.clerk.CreateRole(clerksim.NewRole{Key: "org:owner", Permissions: []string{"org:sys_memberships:manage"}})
	require.NoError(t, err)
	alex, robin := h.person("Alex"), h.person("Robin")
	north := h.create(alex, "North")
	h.join(alex, north, robin, "admin")
	before := h.writes()
	refused := h.must(http.StatusForbidden, alex.token, http.MethodPatch, at(north, "members", alex.id), `{"role":"owner"}`)
	require.Equal(t, "urn:rolecall:problem:forbidden", refused.body["type"])
	require.Equal(t, before, h.writes())
	require.Equal(t, http.StatusForbidden, h.may(t, alex.token, north, "billing:manage"))
	h.must(http.StatusOK, alex.token, http.MethodPatch, at(north, "members", robin.id), `{"role":"owner"}`)
	require.Equal(t, http.StatusOK, h.may(t, robin.token, north, "billing:manage"), "somebody else may be raised")
	h.must(http.StatusOK, alex.token, http.MethodPatch, at(north, "members", alex.id), `{"role":"member"}`)
	require.Equal(t, http.StatusForbidden, h.may(t, alex.token, north, "members:manage"), "stepped down")
}
