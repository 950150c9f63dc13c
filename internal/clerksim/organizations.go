package clerksim

import (
	"encoding/json"
	"fmt"
	"time"
)

// SlugForm is how an organization's bodies show that it has no slug. Clerk's deliveries were seen
// with each form.
type SlugForm int

// The forms of a slug in bodies.
const (
	// SlugAsIs sends the slug, or null if it is empty.
	SlugAsIs SlugForm = iota
	// SlugAbsent leaves the field out, whatever the slug is.
	SlugAbsent
	// SlugEmpty sends the empty string, whatever the slug is.
	SlugEmpty
)

// Organization is a copy of one organization as the world knows it.
type Organization struct {
	// ID is "org_" and 27 characters.
	ID string
	// Name is the name for people.
	Name string
	// Slug is unique among the living organizations, or empty. A slug that was given up may move to
	// another one.
	Slug string
	// SlugForm is the form of the slug in bodies.
	SlugForm SlugForm
	// CreatedBy is the user who created it, or empty if the Backend API did. The user may have been
	// deleted since.
	CreatedBy string
	// MaxMembers is the most members it may have; 0 is unlimited.
	MaxMembers int
	// Members is the number of its members.
	Members int
	// Deleted is true only in a [Directory], which keeps deleted ones.
	Deleted bool
	// PublicMetadata and PrivateMetadata are JSON objects.
	PublicMetadata, PrivateMetadata json.RawMessage
	// CreatedAt and UpdatedAt have a resolution of milliseconds.
	CreatedAt, UpdatedAt time.Time
}

// NewOrganization describes an organization to create. The zero value is one called "Organization
// N", made by the Backend API, without a slug and without members.
type NewOrganization struct {
	// Name is invented if empty.
	Name string
	// Slug may be empty; Clerk makes none by itself since October 2025.
	Slug string
	// SlugForm is the form of the slug in bodies. Defaults to SlugAsIs.
	SlugForm SlugForm
	// CreatedBy is a user's id. That user becomes the first member, as [RoleAdmin].
	CreatedBy string
	// MaxMembers is the most members it may have. Defaults to 0, unlimited.
	MaxMembers int
	// PublicMetadata and PrivateMetadata are JSON objects. Each defaults to {}.
	PublicMetadata, PrivateMetadata json.RawMessage
}

// OrganizationUpdate says what to change; nil leaves a field as it is.
type OrganizationUpdate struct {
	// Name is the new name.
	Name *string
	// Slug is the new slug; the empty string gives it up.
	Slug *string
	// SlugForm is the new form of the slug in bodies.
	SlugForm *SlugForm
	// MaxMembers is the new limit; 0 is unlimited. Present members beyond it stay.
	MaxMembers *int
	// PublicMetadata and PrivateMetadata replace the whole object.
	PublicMetadata, PrivateMetadata json.RawMessage
}

// organization is the row behind an [Organization].
type organization struct {
	entry
	Organization
	members     table[*membership]
	byUser      map[string]*membership
	invitations table[*invitation]
	pending     map[string]*invitation // by address in lower case: those that aren't settled; some have expired
	domains     table[*domain]
	scim        bool // a directory manages all memberships
}

func (o *organization) snapshot() Organization {
	found := o.Organization
	found.Members = o.members.len()
	return found
}

// CreateOrganization adds an organization and emits organization.created; with CreatedBy also the
// creator's membership and organizationMembership.created. It refuses an unknown creator
// (ErrNotFound), a slug that is taken (ErrDuplicate) and invalid metadata (ErrInvalid).
func (w *World) CreateOrganization(params NewOrganization) (Organization, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o, err := w.createOrganization(params)
	if err != nil {
		return Organization{}, err
	}
	return o.snapshot(), nil
}

// createOrganization must be called with w.mu held.
func (w *World) createOrganization(params NewOrganization) (*organization, error) {
	checked, err := checkMetadata(params.PublicMetadata, params.PrivateMetadata)
	if err != nil {
		return nil, err
	}
	params.PublicMetadata, params.PrivateMetadata = checked.public, checked.private
	var creator *user
	if params.CreatedBy != "" {
		if creator, err = w.findUser(params.CreatedBy); err != nil {
			return nil, err
		}
	}
	if err := w.freeSlug(params.Slug, nil); err != nil {
		return nil, err
	}
	now := w.now()
	o := w.addOrganization(params, now)
	w.emit("organization.created", o.id, now, w.organizationBody(o))
	if creator != nil {
		m := w.join(o, creator, w.roleByKey(RoleAdmin), emptyMetadata(), now)
		w.emit("organizationMembership.created", m.id, now, w.membershipBody(m))
	}
	return o, nil
}

// addOrganization adds a checked organization, without its creator, and emits nothing.
func (w *World) addOrganization(params NewOrganization, now time.Time) *organization {
	w.orgsMade++
	if params.Name == "" {
		params.Name = fmt.Sprintf("Organization %d", w.orgsMade)
	}
	o := &organization{
		entry:       w.newEntry("org_", now),
		members:     newTable[*membership](),
		byUser:      make(map[string]*membership),
		invitations: newTable[*invitation](),
		pending:     make(map[string]*invitation),
		domains:     newTable[*domain](),
	}
	o.Organization = Organization{
		ID: o.id, Name: params.Name, Slug: params.Slug, SlugForm: params.SlugForm, CreatedBy: params.CreatedBy,
		MaxMembers: params.MaxMembers, PublicMetadata: params.PublicMetadata, PrivateMetadata: params.PrivateMetadata,
		CreatedAt: now, UpdatedAt: now,
	}
	w.organizations.insert(o)
	w.moveSlug(o, "", o.Slug)
	return o
}

// UpdateOrganization changes name, slug, limit or metadata and emits organization.updated. It
// refuses an unknown organization (ErrNotFound), a slug that is taken (ErrDuplicate) and invalid
// metadata (ErrInvalid).
func (w *World) UpdateOrganization(organizationID string, update OrganizationUpdate) (Organization, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o, err := w.updateOrganization(organizationID, update)
	if err != nil {
		return Organization{}, err
	}
	return o.snapshot(), nil
}

// updateOrganization must be called with w.mu held.
func (w *World) updateOrganization(organizationID string, update OrganizationUpdate) (*organization, error) {
	o, err := w.findOrganization(organizationID)
	if err != nil {
		return nil, err
	}
	changed := o.Organization
	if update.Name != nil {
		changed.Name = *update.Name
	}
	if update.Slug != nil {
		changed.Slug = *update.Slug
	}
	if update.SlugForm != nil {
		changed.SlugForm = *update.SlugForm
	}
	if update.MaxMembers != nil {
		changed.MaxMembers = *update.MaxMembers
	}
	if changed.PublicMetadata, err = replaceMetadata("public_metadata", changed.PublicMetadata, update.PublicMetadata); err != nil {
		return nil, err
	}
	if changed.PrivateMetadata, err = replaceMetadata("private_metadata", changed.PrivateMetadata, update.PrivateMetadata); err != nil {
		return nil, err
	}
	if err := w.freeSlug(changed.Slug, o); err != nil {
		return nil, err
	}
	w.moveSlug(o, o.Slug, changed.Slug)
	w.saveOrganization(o, changed)
	return o, nil
}

// saveOrganization makes a checked change, whose slug has moved, and emits it.
func (w *World) saveOrganization(o *organization, changed Organization) {
	changed.UpdatedAt = w.now()
	o.Organization = changed
	w.emit("organization.updated", o.id, changed.UpdatedAt, w.organizationBody(o))
}

// DeleteOrganization removes an organization with its memberships, invitations and domains and
// emits organization.deleted. Invitations and domains go silently; for memberships see
// [Config.MembershipEventsOnDelete]. It refuses an unknown organization (ErrNotFound).
func (w *World) DeleteOrganization(organizationID string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.deleteOrganization(organizationID)
	return err
}

// deleteOrganization returns Clerk's answer, which is also the event's data. It must be called with
// w.mu held.
func (w *World) deleteOrganization(organizationID string) (deletedBody, error) {
	o, err := w.findOrganization(organizationID)
	if err != nil {
		return deletedBody{}, err
	}
	now := w.now()
	w.removeWithParent(o.members.ordered, now)
	for _, i := range o.invitations.ordered {
		w.invitations.remove(i)
	}
	for _, d := range o.domains.ordered {
		w.domains.remove(d)
	}
	w.organizations.remove(o)
	w.moveSlug(o, o.Slug, "")
	gone := o.snapshot()
	gone.Deleted = true
	w.goneOrgs[o.id] = gone
	deleted := deletedBody{Object: "organization", ID: o.id, Deleted: true, Slug: slugField(o).value()}
	w.emit("organization.deleted", o.id, now, deleted)
	return deleted, nil
}

// Organization returns an existing organization; ok is false if it is deleted or never existed.
func (w *World) Organization(organizationID string) (found Organization, ok bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	o, ok := w.organizations.find(organizationID)
	if !ok {
		return Organization{}, false
	}
	return o.snapshot(), true
}

func (w *World) findOrganization(organizationID string) (*organization, error) {
	o, ok := w.organizations.find(organizationID)
	if !ok {
		return nil, refuse(ErrNotFound, "no organization %s", organizationID)
	}
	return o, nil
}

// freeSlug refuses a slug of another organization.
func (w *World) freeSlug(slug string, except *organization) error {
	if owner, taken := w.slugs[slug]; taken && owner != except {
		return refuseParam(ErrDuplicate, "slug", "the slug %q is taken", slug)
	}
	return nil
}

func (w *World) moveSlug(o *organization, from, to string) {
	if from != "" {
		delete(w.slugs, from)
	}
	if to != "" {
		w.slugs[to] = o
	}
}
