package clerksim

import (
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash/fnv"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"
)

// The paths that are served.
const (
	apiPrefix  = "/v1"
	keySetPath = "/.well-known/jwks.json"
)

// api serves a world as Clerk's Backend API does.
type api struct{ world *World }

// route is one route of the API. The handler's result is sent as JSON with 200, its error by
// [api.fail].
type route struct {
	method, path string
	handle       func(*http.Request) (any, error)
	// parameters are the query parameters beside limit, offset and order_by of a list. Any other is
	// refused.
	parameters []string
}

func (a *api) routes() []route {
	return []route{
		{http.MethodGet, "/instance", a.instance, nil},
		{http.MethodGet, "/jwks", a.jwks, nil},
		{http.MethodGet, "/domains", a.instanceDomains, nil},
		{http.MethodGet, "/organizations", a.listOrganizations, append(listParameters(), organizationFilters()...)},
		{http.MethodPost, "/organizations", a.createOrganization, nil},
		{http.MethodGet, "/organizations/{id}", a.organization, []string{includeCount}},
		{http.MethodPatch, "/organizations/{id}", a.updateOrganization, nil},
		{http.MethodDelete, "/organizations/{id}", a.deleteOrganization, nil},
		{http.MethodPatch, "/organizations/{id}/metadata", a.organizationMetadata(mergeMetadata), nil},
		{http.MethodPut, "/organizations/{id}/metadata", a.organizationMetadata(replaceMetadata), nil},
		{http.MethodGet, "/organizations/{id}/memberships", a.listMembers, append(listParameters(), memberFilters()...)},
		{http.MethodPost, "/organizations/{id}/memberships", a.addMember, nil},
		{http.MethodPatch, "/organizations/{id}/memberships/{user_id}", a.updateMember, nil},
		{http.MethodDelete, "/organizations/{id}/memberships/{user_id}", a.removeMember, nil},
		{http.MethodPatch, "/organizations/{id}/memberships/{user_id}/metadata", a.memberMetadata, nil},
		{http.MethodGet, "/organizations/{id}/invitations", a.listInvitationsOf, append(listParameters(), "status", "email_address")},
		{http.MethodPost, "/organizations/{id}/invitations", a.createInvitation, nil},
		{http.MethodPost, "/organizations/{id}/invitations/bulk", a.createInvitations, nil},
		{http.MethodGet, "/organizations/{id}/invitations/{invitation_id}", a.invitation, nil},
		{http.MethodPost, "/organizations/{id}/invitations/{invitation_id}/revoke", a.revokeInvitation, nil},
		{http.MethodGet, "/organizations/{id}/domains", a.listDomainsOf, append(unorderedParameters(), "verified")},
		{http.MethodPost, "/organizations/{id}/domains", a.createDomain, nil},
		{http.MethodPatch, "/organizations/{id}/domains/{domain_id}", a.updateDomain, nil},
		{http.MethodDelete, "/organizations/{id}/domains/{domain_id}", a.deleteDomain, nil},
		{http.MethodGet, "/organization_invitations", a.listInvitations, append(listParameters(), "status", "query")},
		{http.MethodGet, "/organization_domains", a.listDomains, append(listParameters(), "organization_id", "verified")},
		{http.MethodGet, "/organization_memberships", a.listMemberships, listParameters()},
		{http.MethodGet, "/organization_roles", a.listRoles, listParameters()},
		{http.MethodPost, "/organization_roles", a.createRole, nil},
		{http.MethodGet, "/organization_roles/{id}", a.role, nil},
		{http.MethodPatch, "/organization_roles/{id}", a.updateRole, nil},
		{http.MethodDelete, "/organization_roles/{id}", a.deleteRole, nil},
		{http.MethodPost, "/organization_roles/{id}/permissions/{permission_id}", a.assignPermission, nil},
		{http.MethodDelete, "/organization_roles/{id}/permissions/{permission_id}", a.removePermission, nil},
		{http.MethodGet, "/organization_permissions", a.listPermissions, listParameters()},
		{http.MethodPost, "/organization_permissions", a.createPermission, nil},
		{http.MethodGet, "/organization_permissions/{id}", a.permission, nil},
		{http.MethodDelete, "/organization_permissions/{id}", a.deletePermission, nil},
		{http.MethodGet, "/role_sets", a.listRoleSets, listParameters()},
		{http.MethodGet, "/billing/plans", a.listPlans, append(listParameters(), "payer_type")},
		{http.MethodGet, "/users", a.listUsers, append(listParameters(), append(userFilters(), startingAfter)...)},
		{http.MethodPost, "/users", a.createUser, nil},
		{http.MethodGet, "/users/count", a.countUsers, userFilters()},
		{http.MethodGet, "/users/{id}", a.user, nil},
		{http.MethodPatch, "/users/{id}", a.updateUser, nil},
		{http.MethodDelete, "/users/{id}", a.deleteUser, nil},
		{http.MethodPatch, "/users/{id}/metadata", a.userMetadata(mergeMetadata), nil},
		{http.MethodPut, "/users/{id}/metadata", a.userMetadata(replaceMetadata), nil},
		{http.MethodPost, "/users/{id}/verify_password", a.verifyPassword, nil},
		{http.MethodPost, "/users/{id}/ban", a.banUser, nil},
		{http.MethodPost, "/users/{id}/unban", a.unbanUser, nil},
		{http.MethodGet, "/sessions", a.listSessions, append(unorderedParameters(), "user_id", "client_id", "status", paginated)},
		{http.MethodPost, "/sessions", a.createSession, nil},
		{http.MethodGet, "/sessions/{id}", a.session, nil},
		{http.MethodPost, "/sessions/{id}/revoke", a.revokeSession, nil},
		{http.MethodPost, "/sessions/{id}/tokens", a.createToken, nil},
		{http.MethodPost, "/sessions/{id}/tokens/{template}", a.createTemplateToken, nil},
		{http.MethodGet, "/users/{id}/organization_memberships", a.listMembershipsOfUser, unorderedParameters()},
		{http.MethodGet, "/users/{id}/organization_invitations", a.listInvitationsOfUser, append(unorderedParameters(), "status")},
	}
}

// Handler serves the Backend API under /v1, which demands the secret key. It also serves the public
// key set under /.well-known/jwks.json. Middleware wraps both, the first outermost, and can count,
// limit or break calls.
func (w *World) Handler(middleware ...func(http.Handler) http.Handler) http.Handler {
	a := &api{world: w}
	router := mux.NewRouter()
	router.Handle(keySetPath, a.endpoint(route{handle: a.jwks})).Methods(http.MethodGet)
	for _, r := range a.routes() {
		router.Handle(apiPrefix+r.path, a.authenticated(a.endpoint(r))).Methods(r.method)
	}
	router.NotFoundHandler = http.HandlerFunc(a.refuseCall)
	router.MethodNotAllowedHandler = router.NotFoundHandler
	var handler http.Handler = router
	for _, layer := range slices.Backward(middleware) {
		handler = layer(handler)
	}
	return handler
}

func (a *api) endpoint(r route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if err := a.world.checkFeature(r.path); err != nil {
			a.fail(w, err)
			return
		}
		if err := checkParameters(req, r.parameters); err != nil {
			a.fail(w, err)
			return
		}
		body, err := r.handle(req)
		if err != nil {
			a.fail(w, err)
			return
		}
		write(w, http.StatusOK, body)
	})
}

func (a *api) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		key, isBearer := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
		if !isBearer || subtle.ConstantTimeCompare([]byte(key), []byte(a.world.cfg.SecretKey)) != 1 {
			a.fail(w, refuse(ErrUnauthorized, "the secret key is missing or not this instance's"))
			return
		}
		next.ServeHTTP(w, req)
	})
}

// refuseCall answers a call that isn't simulated.
func (a *api) refuseCall(w http.ResponseWriter, req *http.Request) {
	a.fail(w, refuse(ErrUnsimulatedCall, "the simulator doesn't know %s %s", req.Method, req.URL.Path))
}

// errorsBody is the body of Clerk's errors.
type errorsBody struct {
	Errors  []errorBody `json:"errors"`
	TraceID string      `json:"clerk_trace_id"`
}

type errorBody struct {
	Code        string            `json:"code"`
	Message     string            `json:"message"`
	LongMessage string            `json:"long_message"`
	Meta        map[string]string `json:"meta"`
}

// fail is the one place where an error becomes a response.
func (a *api) fail(w http.ResponseWriter, err error) {
	refusal, ok := errors.AsType[*Error](err)
	if !ok {
		refusal = refuse(codeOf(http.StatusInternalServerError), "%v", err)
	}
	write(w, statusOf(refusal.Code), errorsBodyOf(refusal))
}

func errorsBodyOf(refusal *Error) errorsBody {
	body := errorBody{
		Code:        string(refusal.Code),
		Message:     strings.ReplaceAll(string(refusal.Code), "_", " "),
		LongMessage: refusal.Detail,
		Meta:        map[string]string{},
	}
	if refusal.Param != "" {
		body.Meta["param_name"] = refusal.Param
	}
	return errorsBody{Errors: []errorBody{body}, TraceID: traceID(body)}
}

// traceID is the same for the same refusal, so that answers stay a function of the world.
func traceID(body errorBody) string {
	hash := fnv.New128a()
	_, _ = hash.Write([]byte(body.Code + body.LongMessage)) // never fails, says package hash
	return hex.EncodeToString(hash.Sum(nil))
}

func statusOf(code Code) int {
	switch code {
	case ErrUnauthorized:
		return http.StatusUnauthorized
	case ErrAlreadyMember, ErrInvitationNotUnique, ErrInvitationNotPending, ErrNoPassword:
		return http.StatusBadRequest
	case ErrLastAdmin, ErrNotAdmin, ErrQuota, ErrManagedBySCIM, ErrOrganizationsOff, ErrDomainsOff, ErrBillingOff:
		return http.StatusForbidden
	case ErrNotFound, ErrUnsimulatedCall:
		return http.StatusNotFound
	case ErrPermissionAssigned:
		return http.StatusConflict
	case ErrInvalid, ErrMissing, ErrFormat, ErrDuplicate, ErrRoleInUse, ErrPermissionInUse, ErrUnsimulated,
		ErrPasswordTooShort, ErrPasswordTooLong, ErrPasswordPwned, ErrPasswordIncorrect:
		return http.StatusUnprocessableEntity
	default:
		return http.StatusInternalServerError
	}
}

// write sends a body as JSON. JSON is sent as it is: parsing each byte again would double the cost
// of a list.
func write(w http.ResponseWriter, status int, body any) {
	raw, ready := body.(json.RawMessage)
	if !ready {
		raw = mustMarshal(body)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(raw) // the caller may have hung up
}
