package clerksim

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"
)

// maxBulk is how many invitations one call may make (Backend API document,
// CreateOrganizationInvitationBulk).
const maxBulk = 10

// maxInvitationDays is the longest that an invitation may live (Backend API document,
// expires_in_days).
const maxInvitationDays = 365

// invitationRequest is the part of a request to invite that the simulator uses. Fields that only
// change the e-mail, which isn't sent here, are accepted and ignored.
type invitationRequest struct {
	metadataRequest
	EmailAddress  string  `json:"email_address"`
	InviterUserID *string `json:"inviter_user_id"`
	Role          string  `json:"role"`
	ExpiresInDays *int    `json:"expires_in_days"`
	RedirectURL   *string `json:"redirect_url"`
	Notify        *bool   `json:"notify"`
}

func (r invitationRequest) params(organizationID string) (NewInvitation, error) {
	params := NewInvitation{OrganizationID: organizationID, Email: r.EmailAddress, Role: r.Role}
	if r.EmailAddress == "" {
		return params, missing("email_address")
	}
	if r.Role == "" {
		return params, missing("role")
	}
	if r.InviterUserID != nil {
		params.InviterID = *r.InviterUserID
	}
	params.PublicMetadata, params.PrivateMetadata = unlessNull(r.Public), unlessNull(r.Private)
	if days := r.ExpiresInDays; days != nil {
		if *days < 1 || *days > maxInvitationDays {
			return params, refuseParam(ErrInvalid, "expires_in_days", "expires_in_days must be 1 to %d", maxInvitationDays)
		}
		params.Lifetime = time.Duration(*days) * 24 * time.Hour
	}
	return params, nil
}

func (a *api) createInvitation(req *http.Request) (any, error) {
	var wanted invitationRequest
	if err := readBody(req, &wanted); err != nil {
		return nil, err
	}
	params, err := wanted.params(mux.Vars(req)["id"])
	if err != nil {
		return nil, err
	}
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	made, err := a.world.invite(params.OrganizationID, params)
	if err != nil {
		return nil, err
	}
	return a.invitationAnswer(made[0]), nil
}

// createInvitations makes up to ten invitations, or none if one of them is refused. Clerk doesn't
// say whether some of them stay then.
func (a *api) createInvitations(req *http.Request) (any, error) {
	var wanted []invitationRequest
	if err := readBody(req, &wanted); err != nil {
		return nil, err
	}
	if len(wanted) == 0 || len(wanted) > maxBulk {
		return nil, refuse(ErrInvalid, "the body must be an array of 1 to %d invitations, not %d", maxBulk, len(wanted))
	}
	organizationID := mux.Vars(req)["id"]
	all := make([]NewInvitation, len(wanted))
	for n, one := range wanted {
		var err error
		if all[n], err = one.params(organizationID); err != nil {
			return nil, err
		}
	}
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	made, err := a.world.invite(organizationID, all...)
	if err != nil {
		return nil, err
	}
	return arrayOf(`{"data":[`, made, func(i *invitation) any { return a.world.currentInvitationBody(i) },
		`],"total_count":`+strconv.Itoa(len(made))+`}`), nil
}

// revokeInvitation revokes an invitation in the name of a member who may manage the organization,
// or without a name.
func (a *api) revokeInvitation(req *http.Request) (any, error) {
	var by struct {
		RequestingUserID string `json:"requesting_user_id"`
	}
	if err := readOptionalBody(req, &by); err != nil {
		return nil, err
	}
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	i, err := a.findInvitation(req)
	if err != nil {
		return nil, err
	}
	if err := a.world.checkManager(i.organization, by.RequestingUserID); err != nil {
		return nil, err
	}
	if i, err = a.world.revoke(i.id); err != nil {
		return nil, err
	}
	return a.invitationAnswer(i), nil
}

func (a *api) invitation(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	i, err := a.findInvitation(req)
	if err != nil {
		return nil, err
	}
	return a.invitationAnswer(i), checkVisible(req, i.id)
}

// invitationOrders are the orders that the Backend API document lists beside created_at.
func invitationOrders() orders[*invitation] {
	return orders[*invitation]{
		"email_address": func(x, y *invitation) int { return strings.Compare(x.Email, y.Email) },
	}
}

// listInvitations lists the invitations of the whole instance. The parameter query is a part of the
// address.
func (a *api) listInvitations(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	part := req.URL.Query().Get("query")
	rows, err := a.filteredInvitations(req.URL.Query(), a.world.invitations.ordered, func(i *invitation) bool {
		return containsFold(i.Email, part)
	})
	if err != nil {
		return nil, err
	}
	return list(a, req, rows, invitationOrders(), func(i *invitation) any { return a.world.listedInvitationBody(i) })
}

// listInvitationsOf lists the invitations of one organization. The parameter email_address is a
// whole address.
func (a *api) listInvitationsOf(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	o, err := a.world.findOrganization(mux.Vars(req)["id"])
	if err != nil {
		return nil, err
	}
	address := req.URL.Query().Get("email_address")
	rows, err := a.filteredInvitations(req.URL.Query(), o.invitations.ordered, func(i *invitation) bool {
		return address == "" || strings.EqualFold(i.Email, address)
	})
	if err != nil {
		return nil, err
	}
	return list(a, req, rows, invitationOrders(), func(i *invitation) any { return a.world.currentInvitationBody(i) })
}

// listInvitationsOfUser lists the invitations to any of a user's addresses.
func (a *api) listInvitationsOfUser(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	u, err := a.world.findUser(mux.Vars(req)["id"])
	if err != nil {
		return nil, err
	}
	rows, err := a.filteredInvitations(req.URL.Query(), a.world.invitations.ordered, func(i *invitation) bool { return u.hasAddress(i.Email) })
	if err != nil {
		return nil, err
	}
	return list(a, req, rows, nil, func(i *invitation) any { return a.world.listedInvitationBody(i) })
}

// filteredInvitations returns the rows that match and have one of the wanted statuses. Without a
// wanted status, all match.
func (a *api) filteredInvitations(
	query url.Values, rows []*invitation, matches func(*invitation) bool,
) ([]*invitation, error) {
	statuses := query["status"]
	for _, status := range statuses {
		switch InvitationStatus(status) {
		case InvitationPending, InvitationAccepted, InvitationRevoked, InvitationExpired:
		default:
			return nil, refuseParam(ErrInvalid, "status", "an invitation can't be %q", status)
		}
	}
	now := a.world.now()
	return matching(rows, func(i *invitation) bool {
		return matches(i) && (len(statuses) == 0 || slices.Contains(statuses, string(i.statusAt(now))))
	}), nil
}

// findInvitation finds the invitation that a path names. Under another organization's path, it
// isn't found.
func (a *api) findInvitation(req *http.Request) (*invitation, error) {
	o, err := a.world.findOrganization(mux.Vars(req)["id"])
	if err != nil {
		return nil, err
	}
	id := mux.Vars(req)["invitation_id"]
	i, ok := o.invitations.find(id)
	if !ok {
		return nil, refuse(ErrNotFound, "no invitation %s in %s", id, o.id)
	}
	return i, nil
}

func (a *api) invitationAnswer(i *invitation) any {
	return withUnknownField(i.id, a.world.currentInvitationBody(i))
}
