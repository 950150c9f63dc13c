package clerksim

import (
	"cmp"
	"regexp"
	"slices"
	"time"
)

// domainPattern is the shape of a domain's name, two labels or more.
const domainPattern = `^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$`

// Verification is how far an organization has proved that it belongs to a domain.
type Verification string

// The states of a verification in this package.
const (
	// VerificationNone is null in bodies: there was no try.
	VerificationNone Verification = ""
	// VerificationDone is "verified".
	VerificationDone Verification = "verified"
	// VerificationUndone is "unverified": it was taken back.
	VerificationUndone Verification = "unverified"
)

// The modes in which users with an address of a domain may enroll (Backend API document,
// OrganizationDomain).
const (
	EnrollByHand       = "manual_invitation"
	EnrollByInvitation = "automatic_invitation"
	EnrollBySuggestion = "automatic_suggestion"
	EnrollByEnterprise = "enterprise_sso"
)

// Domain is a copy of one e-mail domain of an organization as the world knows it.
type Domain struct {
	// ID is "orgdmn_" and 27 characters.
	ID string
	// OrganizationID is the organization's id.
	OrganizationID string
	// Name is the domain's name, such as "callmine.test".
	Name string
	// EnrollmentMode is one of the four modes, such as [EnrollByHand].
	EnrollmentMode string
	// Verification is how far it is proved.
	Verification Verification
	// VerifiedAt is when it last was verified, or zero.
	VerifiedAt time.Time
	// CreatedAt and UpdatedAt have a resolution of milliseconds.
	CreatedAt, UpdatedAt time.Time
}

// DomainUpdate says what to change; nil leaves a field as it is.
type DomainUpdate struct {
	// EnrollmentMode is the new mode.
	EnrollmentMode *string
	// Verified verifies the domain, or takes that back.
	Verified *bool
}

// domain is the row behind a [Domain].
type domain struct {
	entry
	Domain
	organization *organization
}

// AddDomain adds an unverified domain with enrollment by hand and emits organizationDomain.created.
// It refuses an unknown organization (ErrNotFound), a malformed name (ErrInvalid) and one that the
// organization has already (ErrDuplicate). Another organization may have the same one.
func (w *World) AddDomain(organizationID, name string) (Domain, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d, err := w.addDomain(organizationID, name, DomainUpdate{})
	if err != nil {
		return Domain{}, err
	}
	return d.Domain, nil
}

// addDomain adds a domain that is as wanted from the start. It must be called with w.mu held.
func (w *World) addDomain(organizationID, name string, wanted DomainUpdate) (*domain, error) {
	o, err := w.findOrganization(organizationID)
	if err != nil {
		return nil, err
	}
	if valid, err := regexp.MatchString(domainPattern, name); err != nil || !valid {
		return nil, refuseParam(ErrInvalid, "name", "%q is no domain in lower case", name)
	}
	if slices.ContainsFunc(o.domains.ordered, func(d *domain) bool { return d.Name == name }) {
		return nil, refuseParam(ErrDuplicate, "name", "%s has the domain %q already", o.id, name)
	}
	if err := wanted.validate(); err != nil {
		return nil, err
	}
	now := w.now()
	d := &domain{entry: w.newEntry("orgdmn_", now), organization: o}
	d.Domain = Domain{
		ID: d.id, OrganizationID: o.id, Name: name, EnrollmentMode: EnrollByHand, CreatedAt: now, UpdatedAt: now,
	}
	d.change(wanted, now)
	w.domains.insert(d)
	o.domains.insert(d)
	w.emit("organizationDomain.created", d.id, now, domainEventBody(d))
	return d, nil
}

// UpdateDomain verifies a domain, or takes that back, or changes how people enroll, and emits
// organizationDomain.updated. It refuses an unknown domain (ErrNotFound) and an unknown mode
// (ErrInvalid).
func (w *World) UpdateDomain(domainID string, update DomainUpdate) (Domain, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d, err := w.updateDomain(domainID, update)
	if err != nil {
		return Domain{}, err
	}
	return d.Domain, nil
}

// updateDomain must be called with w.mu held.
func (w *World) updateDomain(domainID string, update DomainUpdate) (*domain, error) {
	d, err := w.findDomain(domainID)
	if err != nil {
		return nil, err
	}
	if err := update.validate(); err != nil {
		return nil, err
	}
	d.UpdatedAt = w.now()
	d.change(update, d.UpdatedAt)
	w.emit("organizationDomain.updated", d.id, d.UpdatedAt, domainEventBody(d))
	return d, nil
}

func (u DomainUpdate) validate() error {
	modes := []string{EnrollByHand, EnrollByInvitation, EnrollBySuggestion, EnrollByEnterprise}
	if mode := u.EnrollmentMode; mode != nil && !slices.Contains(modes, *mode) {
		return refuseParam(ErrInvalid, "enrollment_mode", "nobody enrolls by %q", *mode)
	}
	return nil
}

// change makes a checked change and emits nothing.
func (d *domain) change(update DomainUpdate, now time.Time) {
	d.EnrollmentMode = *cmp.Or(update.EnrollmentMode, &d.EnrollmentMode)
	if update.Verified != nil {
		d.verify(*update.Verified, now)
	}
}

// DeleteDomain removes a domain and emits organizationDomain.deleted, which has only its id. It
// refuses an unknown domain (ErrNotFound).
func (w *World) DeleteDomain(domainID string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.deleteDomain(domainID)
	return err
}

// deleteDomain returns Clerk's answer, which is also the event's data. It must be called with w.mu
// held.
func (w *World) deleteDomain(domainID string) (deletedBody, error) {
	d, err := w.findDomain(domainID)
	if err != nil {
		return deletedBody{}, err
	}
	w.domains.remove(d)
	d.organization.domains.remove(d)
	deleted := deletedBody{Object: domainObject, ID: d.id, Deleted: true}
	w.emit("organizationDomain.deleted", d.id, w.now(), deleted)
	return deleted, nil
}

func (w *World) findDomain(domainID string) (*domain, error) {
	d, ok := w.domains.find(domainID)
	if !ok {
		return nil, refuse(ErrNotFound, "no domain %s", domainID)
	}
	return d, nil
}

func (d *domain) verify(verified bool, now time.Time) {
	if verified {
		d.Verification, d.VerifiedAt = VerificationDone, now
	} else {
		d.Verification, d.VerifiedAt = VerificationUndone, time.Time{}
	}
}
