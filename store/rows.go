package store

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// The functions of this file turn rows of the mirror into objects of package sync, and back.

func tombstone(deletedAt *time.Time, cause string, receivedAt, liftedAt *time.Time) clerksync.Tombstone {
	return clerksync.Tombstone{
		OccurredAt: millis(deletedAt), DeliveryID: cause, ReceivedAt: millis(receivedAt), LiftedAt: millis(liftedAt),
	}
}

func userOf(r dbsqlc.RolecallUser) (clerksync.User, error) {
	u := clerksync.User{Reference: clerksync.Reference{ID: r.ID}, Erased: r.Erased, Tombstone: tombstone(r.DeletedAt, r.DeletedCause, r.DeletedReceivedAt, r.LiftedAt)}
	u.Identifier.Value, u.FirstName.Value, u.LastName.Value = r.Identifier, r.FirstName, r.LastName
	u.ImageURL.Value, u.Banned.Value, u.Deprovisioned.Value = r.ImageUrl, r.Banned, r.Deprovisioned
	u.CreatedAt.Value = millis(r.CreatedAt)
	return u, unpackVersions(u.Registers(), r.Version, r.FieldVersions)
}

func userRow(u clerksync.User) (dbsqlc.RolecallUser, error) {
	version, fieldVersions, err := packVersions(u.Registers())
	return dbsqlc.RolecallUser{
		ID: u.ID, Identifier: u.Identifier.Value, FirstName: u.FirstName.Value, LastName: u.LastName.Value,
		ImageUrl: u.ImageURL.Value, Banned: u.Banned.Value, Deprovisioned: u.Deprovisioned.Value,
		CreatedAt: instant(u.CreatedAt.Value), Version: version, FieldVersions: fieldVersions,
		DeletedAt: instant(u.Tombstone.OccurredAt), DeletedCause: u.Tombstone.DeliveryID,
		DeletedReceivedAt: instant(u.Tombstone.ReceivedAt), LiftedAt: instant(u.Tombstone.LiftedAt),
	}, err
}

func membershipOf(r dbsqlc.RolecallMembership) (clerksync.Membership, error) {
	m := clerksync.Membership{
		Reference: clerksync.Reference{ID: r.ID, OrganizationID: r.OrganizationID, UserID: r.UserID}, Erased: r.Erased,
		Tombstone: tombstone(r.DeletedAt, r.DeletedCause, r.DeletedReceivedAt, r.LiftedAt),
	}
	m.Role.Value, m.RoleName.Value, m.Permissions.Value = r.Role, r.RoleName, r.Permissions
	m.CreatedAt.Value, m.PublicMetadata.Value, m.AliveAt = r.CreatedAt.UnixMilli(), rawOf(r.PublicMetadata), millis(r.AliveAt)
	err := unpackVersions(m.Registers(), r.Version, r.FieldVersions)
	if !m.Permissions.Written() {
		m.Permissions.Value = nil // the column has no null
	}
	return m, err
}

func membershipRow(m clerksync.Membership) (dbsqlc.RolecallMembership, error) {
	version, fieldVersions, err := packVersions(m.Registers())
	return dbsqlc.RolecallMembership{
		ID: m.ID, OrganizationID: m.OrganizationID, UserID: m.UserID, Role: m.Role.Value, RoleName: m.RoleName.Value,
		Permissions: notNull(m.Permissions.Value), CreatedAt: time.UnixMilli(m.CreatedAt.Value).UTC(),
		PublicMetadata: textOf(m.PublicMetadata.Value), AliveAt: instant(m.AliveAt),
		Version: version, FieldVersions: fieldVersions,
		DeletedAt: instant(m.Tombstone.OccurredAt), DeletedCause: m.Tombstone.DeliveryID,
		DeletedReceivedAt: instant(m.Tombstone.ReceivedAt), LiftedAt: instant(m.Tombstone.LiftedAt),
	}, err
}

func organizationOf(r dbsqlc.RolecallOrganization) (clerksync.Organization, error) {
	o := clerksync.Organization{Reference: clerksync.Reference{ID: r.ID}, Tombstone: tombstone(r.DeletedAt, r.DeletedCause, r.DeletedReceivedAt, r.LiftedAt)}
	o.Name.Value, o.Slug.Value, o.ImageURL.Value, o.CreatedBy.Value = r.Name, r.Slug, r.ImageUrl, r.CreatedBy
	o.RoleSetKey.Value = r.RoleSetKey
	o.CreatedAt.Value, o.PublicMetadata.Value = millis(r.CreatedAt), rawOf(r.PublicMetadata)
	err := unpackVersions(o.Registers(), r.Version, r.FieldVersions)
	if r.MaxMemberships != nil {
		o.MaxMemberships.Value = *r.MaxMemberships
	} else {
		o.MaxMemberships.Version = clerksync.Version{} // never written, also if the row is older than the column
	}
	return o, err
}

func organizationRow(o clerksync.Organization) (dbsqlc.RolecallOrganization, error) {
	version, fieldVersions, err := packVersions(o.Registers())
	var maxMemberships *int64
	if o.MaxMemberships.Written() {
		maxMemberships = &o.MaxMemberships.Value
	}
	return dbsqlc.RolecallOrganization{
		ID: o.ID, Name: o.Name.Value, Slug: o.Slug.Value, ImageUrl: o.ImageURL.Value, RoleSetKey: o.RoleSetKey.Value,
		MaxMemberships: maxMemberships, CreatedBy: o.CreatedBy.Value,
		CreatedAt: instant(o.CreatedAt.Value), PublicMetadata: textOf(o.PublicMetadata.Value),
		Version: version, FieldVersions: fieldVersions,
		DeletedAt: instant(o.Tombstone.OccurredAt), DeletedCause: o.Tombstone.DeliveryID,
		DeletedReceivedAt: instant(o.Tombstone.ReceivedAt), LiftedAt: instant(o.Tombstone.LiftedAt),
	}, err
}

func invitationOf(r dbsqlc.RolecallInvitation) (clerksync.Invitation, error) {
	i := clerksync.Invitation{
		Reference: clerksync.Reference{ID: r.ID, OrganizationID: r.OrganizationID}, Erased: r.Erased,
		Tombstone: tombstone(r.DeletedAt, r.DeletedCause, r.DeletedReceivedAt, r.LiftedAt),
	}
	i.Email.Value, i.Role.Value, i.Status.Value = r.Email, r.Role, r.Status
	i.InviterID.Value, i.UserID.Value, i.CreatedAt.Value = r.InviterID, r.UserID, r.CreatedAt.UnixMilli()
	if r.ExpiresAt != nil {
		i.ExpiresAt.Value = new(r.ExpiresAt.UnixMilli())
	}
	return i, unpackVersions(i.Registers(), r.Version, r.FieldVersions)
}

func invitationRow(i clerksync.Invitation) (dbsqlc.RolecallInvitation, error) {
	version, fieldVersions, err := packVersions(i.Registers())
	p := dbsqlc.RolecallInvitation{
		ID: i.ID, OrganizationID: i.OrganizationID, Email: i.Email.Value, Role: i.Role.Value, Status: i.Status.Value,
		InviterID: i.InviterID.Value, UserID: i.UserID.Value, CreatedAt: time.UnixMilli(i.CreatedAt.Value).UTC(),
		Version: version, FieldVersions: fieldVersions,
		DeletedAt: instant(i.Tombstone.OccurredAt), DeletedCause: i.Tombstone.DeliveryID,
		DeletedReceivedAt: instant(i.Tombstone.ReceivedAt), LiftedAt: instant(i.Tombstone.LiftedAt),
	}
	if i.ExpiresAt.Value != nil {
		p.ExpiresAt = new(time.UnixMilli(*i.ExpiresAt.Value).UTC())
	}
	return p, err
}

func domainOf(r dbsqlc.RolecallDomain) (clerksync.Domain, error) {
	d := clerksync.Domain{
		Reference: clerksync.Reference{ID: r.ID, OrganizationID: r.OrganizationID},
		Tombstone: tombstone(r.DeletedAt, r.DeletedCause, r.DeletedReceivedAt, r.LiftedAt),
	}
	d.Name.Value, d.EnrollmentMode.Value, d.Verification.Value = r.Name, r.EnrollmentMode, r.Verification
	d.CreatedAt.Value = millis(r.CreatedAt)
	return d, unpackVersions(d.Registers(), r.Version, r.FieldVersions)
}

func domainRow(d clerksync.Domain) (dbsqlc.RolecallDomain, error) {
	version, fieldVersions, err := packVersions(d.Registers())
	return dbsqlc.RolecallDomain{
		ID: d.ID, OrganizationID: d.OrganizationID, Name: d.Name.Value, EnrollmentMode: d.EnrollmentMode.Value,
		Verification: d.Verification.Value, CreatedAt: instant(d.CreatedAt.Value),
		Version: version, FieldVersions: fieldVersions,
		DeletedAt: instant(d.Tombstone.OccurredAt), DeletedCause: d.Tombstone.DeliveryID,
		DeletedReceivedAt: instant(d.Tombstone.ReceivedAt), LiftedAt: instant(d.Tombstone.LiftedAt),
	}, err
}

func roleOf(r dbsqlc.RolecallRole) (clerksync.Role, error) {
	o := clerksync.Role{Reference: clerksync.Reference{ID: r.ID}, Tombstone: tombstone(r.DeletedAt, r.DeletedCause, r.DeletedReceivedAt, r.LiftedAt)}
	o.Key.Value, o.Name.Value, o.PermissionIDs.Value = r.Key, r.Name, r.PermissionIds
	if err := json.Unmarshal(r.Keys, &o.Keys); err != nil {
		return o, fmt.Errorf("read keys of role: %w", err)
	}
	if len(o.Keys) == 0 {
		o.Keys = nil
	}
	err := unpackVersions(o.Registers(), r.Version, r.FieldVersions)
	if !o.PermissionIDs.Written() {
		o.PermissionIDs.Value = nil // the column has no null
	}
	return o, err
}

func roleRow(o clerksync.Role) (dbsqlc.RolecallRole, error) {
	version, fieldVersions, err := packVersions(o.Registers())
	keys := json.RawMessage("{}")
	if err == nil && len(o.Keys) > 0 {
		keys, err = json.Marshal(o.Keys)
	}
	return dbsqlc.RolecallRole{
		ID: o.ID, Key: o.Key.Value, Keys: keys, Name: o.Name.Value, PermissionIds: notNull(o.PermissionIDs.Value),
		Version: version, FieldVersions: fieldVersions,
		DeletedAt: instant(o.Tombstone.OccurredAt), DeletedCause: o.Tombstone.DeliveryID,
		DeletedReceivedAt: instant(o.Tombstone.ReceivedAt), LiftedAt: instant(o.Tombstone.LiftedAt),
	}, err
}

func permissionOf(r dbsqlc.RolecallPermission) (clerksync.Permission, error) {
	p := clerksync.Permission{Reference: clerksync.Reference{ID: r.ID}, Tombstone: tombstone(r.DeletedAt, r.DeletedCause, r.DeletedReceivedAt, r.LiftedAt)}
	p.Key.Value, p.Name.Value = r.Key, r.Name
	return p, unpackVersions(p.Registers(), r.Version, r.FieldVersions)
}

func permissionRow(p clerksync.Permission) (dbsqlc.RolecallPermission, error) {
	version, fieldVersions, err := packVersions(p.Registers())
	return dbsqlc.RolecallPermission{
		ID: p.ID, Key: p.Key.Value, Name: p.Name.Value, Version: version, FieldVersions: fieldVersions,
		DeletedAt: instant(p.Tombstone.OccurredAt), DeletedCause: p.Tombstone.DeliveryID,
		DeletedReceivedAt: instant(p.Tombstone.ReceivedAt), LiftedAt: instant(p.Tombstone.LiftedAt),
	}, err
}

// notNull replaces nil by an empty list, because array columns hold no null.
func notNull(list []string) []string { return append([]string{}, list...) }

// textOf turns JSON as it was received into a row's text; nil for none.
func textOf(raw json.RawMessage) *string {
	if raw == nil {
		return nil
	}
	return new(string(raw))
}

// rawOf is the inverse of textOf.
func rawOf(text *string) json.RawMessage {
	if text == nil {
		return nil
	}
	return json.RawMessage(*text)
}

// known returns the zero time for 'epoch', by which queries say that a time isn't known.
func known(at time.Time) time.Time {
	if at.UnixMilli() <= 0 {
		return time.Time{}
	}
	return at
}
