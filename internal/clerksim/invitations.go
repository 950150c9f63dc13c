package clerksim

import (
	"cmp"
	"encoding/json"
	"net/mail"
	"slices"
	"strings"
	"time"
)

// invitationLife is how long an invitation is valid unless told otherwise (Backend API document,
// expires_in_days).
const invitationLife = 30 * 24 * time.Hour

// InvitationStatus is the status of an invitation.
type InvitationStatus string

// The statuses of an invitation. Clerk sends an event for each but the last, which comes with time
// alone.
const (
	InvitationPending  InvitationStatus = "pending"
	InvitationAccepted InvitationStatus = "accepted"
	InvitationRevoked  InvitationStatus = "revoked"
	InvitationExpired  InvitationStatus = "expired"
)

// Invitation is a copy of one invitation to an organization as the world knows it.
type Invitation struct {
	// ID is "orginv_" and 27 characters. Each new invitation has a new one.
	ID string
	// OrganizationID is the organization's id.
	OrganizationID string
	// InviterID is the inviting user, or empty if the Backend API named none. The user may have
	// been deleted since.
	InviterID string
	// UserID is the accepting user, or empty.
	UserID string
	// Email is the address invited, spelled as it was given.
	Email string
	// Role is the key of the role that the accepting user gets.
	Role string
	// Status is the status at the time of the copy: a pending invitation expires at ExpiresAt.
	Status InvitationStatus
	// URL is the link that accepts it: a secret. It is empty where Clerk has null: in a legacy
	// instance, and for some invitations without an inviter.
	URL string
	// Ticket is the secret in the link, also where bodies show no link: the mail has it.
	Ticket string
	// PublicMetadata and PrivateMetadata are JSON objects, which the membership inherits.
	PublicMetadata, PrivateMetadata json.RawMessage
	// CreatedAt and UpdatedAt have a resolution of milliseconds. Expiring doesn't touch them.
	CreatedAt, UpdatedAt time.Time
	// ExpiresAt is when it expires, or zero for never.
	ExpiresAt time.Time
}

// NewInvitation describes an invitation to create.
type NewInvitation struct {
	// OrganizationID is the organization's id.
	OrganizationID string
	// InviterID is a member who may manage the organization, or empty for an invitation by the
	// Backend API.
	InviterID string
	// Email is the address to invite.
	Email string
	// Role is a role's key. Defaults to [RoleMember].
	Role string
	// Lifetime is how long it is valid. Defaults to 30 days, and in a legacy instance to for ever.
	Lifetime time.Duration
	// PublicMetadata and PrivateMetadata are JSON objects. Each defaults to {}.
	PublicMetadata, PrivateMetadata json.RawMessage
}

// invitation is the row behind an [Invitation]. The copy's Role and Status are not kept here.
type invitation struct {
	entry
	Invitation
	organization *organization
	role         *role
}

func (i *invitation) snapshot(now time.Time) Invitation {
	found := i.Invitation
	found.Role, found.Status = i.role.Key, i.statusAt(now)
	return found
}

// statusAt is the status at a moment: from ExpiresAt on, pending is expired.
func (i *invitation) statusAt(now time.Time) InvitationStatus {
	if i.Status == InvitationPending && !i.ExpiresAt.IsZero() && !now.Before(i.ExpiresAt) {
		return InvitationExpired
	}
	return i.Status
}

// isAddress reports whether a text is an e-mail address, and nothing else.
func isAddress(text string) bool {
	address, err := mail.ParseAddress(text)
	return err == nil && address.Address == text
}

func (p NewInvitation) validate() error {
	if !isAddress(p.Email) {
		return refuseParam(ErrFormat, "email_address", "%q is no e-mail address", p.Email)
	}
	if p.Lifetime < 0 {
		return refuseParam(ErrInvalid, "expires_in_days", "an invitation can't have expired before it was made")
	}
	return nil
}

// Invite is [World.CreateInvitation] for an invitation that lives for the default time. An empty
// inviterID stands for the Backend API, an empty roleKey for [RoleMember].
func (w *World) Invite(organizationID, inviterID, email, roleKey string) (Invitation, error) {
	return w.CreateInvitation(NewInvitation{
		OrganizationID: organizationID, InviterID: inviterID, Email: email, Role: roleKey,
	})
}

// CreateInvitation invites an address to an organization and emits organizationInvitation.created.
// It compares addresses without regard to case. It refuses unknown ids and roles (ErrNotFound), an
// inviter who may not manage the organization (ErrNotAdmin), a malformed address (ErrFormat) and
// invalid metadata (ErrInvalid). It refuses the address of a member (ErrAlreadyMember), and one
// with a pending invitation (ErrInvitationNotUnique). In an organization with a limit, it refuses
// more members and pending invitations than allowed (ErrQuota).
func (w *World) CreateInvitation(params NewInvitation) (Invitation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	made, err := w.invite(params.OrganizationID, params)
	if err != nil {
		return Invitation{}, err
	}
	return made[0].snapshot(made[0].CreatedAt), nil
}

// Accept makes a user a member by an invitation. It emits organizationInvitation.accepted and then
// organizationMembership.created: one change of one millisecond, whose envelopes are stamped each
// on its own, so that either may be the older one. Clerk documents no order; here the invitation is
// used up before it has an effect. Every user with the link may accept, with any address. Accept
// refuses unknown ids (ErrNotFound), an invitation that isn't pending (ErrInvitationNotPending), a
// member (ErrAlreadyMember) and a full organization (ErrQuota).
func (w *World) Accept(invitationID, userID string) (Membership, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	i, err := w.findPendingInvitation(invitationID, now)
	if err != nil {
		return Membership{}, err
	}
	u, err := w.findUser(userID)
	if err != nil {
		return Membership{}, err
	}
	m, err := w.accept(i, u, now)
	if err != nil {
		return Membership{}, err
	}
	return m.snapshot(), nil
}

// accept must be called with w.mu held, for a pending invitation.
func (w *World) accept(i *invitation, u *user, now time.Time) (*membership, error) {
	if err := i.organization.admit(u); err != nil {
		return nil, err
	}
	i.UserID = u.id
	w.settle(i, InvitationAccepted, now)
	m := w.join(i.organization, u, i.role, metadata{i.PublicMetadata, i.PrivateMetadata}, now)
	w.emit("organizationMembership.created", m.id, now, w.membershipBody(m))
	return m, nil
}

// Revoke revokes an invitation and emits organizationInvitation.revoked. It refuses an unknown id
// (ErrNotFound) and an invitation that isn't pending (ErrInvitationNotPending).
func (w *World) Revoke(invitationID string) (Invitation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i, err := w.revoke(invitationID)
	if err != nil {
		return Invitation{}, err
	}
	return i.snapshot(i.UpdatedAt), nil
}

// Invitation returns an invitation with its status of this moment; ok is false for an unknown id
// and if the organization is gone.
func (w *World) Invitation(invitationID string) (found Invitation, ok bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	i, ok := w.invitations.find(invitationID)
	if !ok {
		return Invitation{}, false
	}
	return i.snapshot(w.now()), true
}

// invite invites all addresses or, if one can't be, none. It must be called with w.mu held.
func (w *World) invite(organizationID string, all ...NewInvitation) ([]*invitation, error) {
	o, err := w.findOrganization(organizationID)
	if err != nil {
		return nil, err
	}
	now := w.now()
	checked, taken := make([]*invitation, len(all)), make(map[string]bool, len(all))
	for n, params := range all {
		if checked[n], err = w.checkInvitation(o, params); err != nil {
			return nil, err
		}
		if err := o.freeAddress(params.Email, now, taken); err != nil {
			return nil, err
		}
		taken[strings.ToLower(params.Email)] = true
	}
	for n, i := range checked {
		w.addInvitation(i, all[n].Lifetime, now)
	}
	return checked, nil
}

// checkInvitation returns what is known of an invitation before it is made, or refuses it.
func (w *World) checkInvitation(o *organization, params NewInvitation) (*invitation, error) {
	if err := w.checkManager(o, params.InviterID); err != nil {
		return nil, err
	}
	r, err := w.findRoleByKey(cmp.Or(params.Role, RoleMember))
	if err != nil {
		return nil, err
	}
	kept, err := checkMetadata(params.PublicMetadata, params.PrivateMetadata)
	if err != nil {
		return nil, err
	}
	if err := params.validate(); err != nil {
		return nil, err
	}
	return &invitation{organization: o, role: r, Invitation: Invitation{
		OrganizationID: o.id, InviterID: params.InviterID, Email: params.Email, Status: InvitationPending,
		PublicMetadata: kept.public, PrivateMetadata: kept.private,
	}}, nil
}

// addInvitation makes a checked invitation and emits it.
func (w *World) addInvitation(i *invitation, lifetime time.Duration, now time.Time) {
	o := i.organization
	i.entry = w.newEntry("orginv_", now)
	i.ID, i.CreatedAt, i.UpdatedAt, i.ExpiresAt = i.id, now, now, w.expiry(lifetime, now)
	i.Ticket = newID(w.rng, "") + newID(w.rng, "")
	i.URL = w.invitationURL(i)
	w.invitations.insert(i)
	o.invitations.insert(i)
	o.pending[strings.ToLower(i.Email)] = i
	w.emit("organizationInvitation.created", i.id, now, w.invitationEventBody(i))
}

// revoke must be called with w.mu held.
func (w *World) revoke(invitationID string) (*invitation, error) {
	now := w.now()
	i, err := w.findPendingInvitation(invitationID, now)
	if err != nil {
		return nil, err
	}
	w.settle(i, InvitationRevoked, now)
	return i, nil
}

// settle ends a pending invitation and emits the event that is called like its new status.
func (w *World) settle(i *invitation, status InvitationStatus, now time.Time) {
	i.Status, i.UpdatedAt = status, now
	delete(i.organization.pending, strings.ToLower(i.Email))
	w.emit("organizationInvitation."+string(status), i.id, now, w.invitationEventBody(i))
}

func (w *World) findPendingInvitation(invitationID string, now time.Time) (*invitation, error) {
	i, ok := w.invitations.find(invitationID)
	if !ok {
		return nil, refuse(ErrNotFound, "no invitation %s", invitationID)
	}
	if status := i.statusAt(now); status != InvitationPending {
		return nil, refuse(ErrInvitationNotPending, "%s is %s", invitationID, status)
	}
	return i, nil
}

// freeAddress refuses an address that can't be invited now, together with other addresses.
func (o *organization) freeAddress(address string, now time.Time, together map[string]bool) error {
	for _, m := range o.members.ordered {
		if slices.ContainsFunc(m.user.Emails, func(e Identification) bool { return strings.EqualFold(e.Value, address) }) {
			return refuseParam(ErrAlreadyMember, "email_address", "%s is a member of %s already", m.user.id, o.id)
		}
	}
	if i, invited := o.pending[strings.ToLower(address)]; invited && i.statusAt(now) == InvitationPending {
		return refuseParam(ErrInvitationNotUnique, "email_address", "%s is pending for this address", i.id)
	}
	if together[strings.ToLower(address)] {
		return refuseParam(ErrInvitationNotUnique, "email_address", "this address is invited twice")
	}
	if o.MaxMembers > 0 && o.members.len()+o.pendingAt(now)+len(together) >= o.MaxMembers {
		return refuse(ErrQuota, "%s allows %d members, pending invitations included", o.id, o.MaxMembers)
	}
	return nil
}

// pendingAt counts the invitations that can be accepted at a moment.
func (o *organization) pendingAt(now time.Time) int {
	pending := 0
	for _, i := range o.pending { // at most one for each address, and no settled ones
		if i.statusAt(now) == InvitationPending {
			pending++
		}
	}
	return pending
}

// expiry is when an invitation expires. Those of legacy instances never do.
func (w *World) expiry(lifetime time.Duration, now time.Time) time.Time {
	switch {
	case lifetime > 0:
		return now.Add(lifetime).Truncate(time.Millisecond)
	case w.cfg.Legacy:
		return time.Time{}
	default:
		return now.Add(invitationLife)
	}
}

// invitationURL is empty where bodies have no link.
func (w *World) invitationURL(i *invitation) string {
	if w.cfg.Legacy || i.InviterID == "" && accident(i.id+" url", 2) == 0 {
		return ""
	}
	return ticketHost + i.Ticket
}
