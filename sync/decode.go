package sync

import (
	"errors"
	"fmt"
	"strings"
)

// Facts is what one delivery says: the states of the objects that it carries. The object that the event is about is
// its membership, else its user or organization; whatever else it carries are stubs, made of nested copies.
type Facts struct {
	Memberships   []Membership
	Users         []User
	Organizations []Organization
}

// decoder reads one event's data into facts. Errors are collected, so that a reader of the quarantine sees all of
// them at once.
type decoder struct {
	version Version
	errs    []error
}

// Decode reads what a delivery says about the mirror. known is false for an event that the mirror doesn't need.
// Errors wrap [ErrUndecodable].
func Decode(d Delivery) (facts Facts, known bool, err error) {
	decode, ok := map[EventType]func(*decoder, EventType, object) Facts{
		OrganizationCreated: organizationEvent, OrganizationUpdated: organizationEvent, OrganizationDeleted: organizationEvent,
		MembershipCreated: membershipEvent, MembershipUpdated: membershipEvent, MembershipDeleted: membershipEvent,
		UserCreated: userEvent, UserUpdated: userEvent, UserDeleted: userEvent,
	}[d.Type]
	if !ok {
		return Facts{}, false, nil
	}
	envelope, err := parseObject(d.Body)
	if err != nil {
		return Facts{}, true, err
	}
	data := envelope.child("data").value
	dec := &decoder{version: Version{Rank: RankFull, Kind: d.Type.kind(), OccurredAt: d.OccurredAt, DeliveryID: d.ID}}
	updated := data.millis("updated_at")
	dec.check(updated.err)
	dec.version.UpdatedAt = updated.value
	if updated.value == 0 {
		dec.version.UpdatedAt = d.OccurredAt
	}
	facts = decode(dec, d.Type, data)
	if err := errors.Join(dec.errs...); err != nil {
		return Facts{}, true, err
	}
	return facts, true, nil
}

func (dec *decoder) check(err error) {
	if err != nil {
		dec.errs = append(dec.errs, err)
	}
}

// id reads an object's id, which must carry Clerk's prefix: an event about a user can't become an organization.
func (dec *decoder) id(o object, name, prefix string) string {
	m := o.text(name)
	dec.check(m.err)
	if m.err == nil && (!strings.HasPrefix(m.value, prefix) || len(m.value) == len(prefix)) {
		dec.check(fmt.Errorf("%w: member %q is not a %s… id", ErrUndecodable, name, prefix))
	}
	return m.value
}

// tombstone returns the deletion that the event tells of, if it does.
func (dec *decoder) tombstone() Tombstone {
	if dec.version.Kind != KindDeleted {
		return Tombstone{}
	}
	return Tombstone{OccurredAt: dec.version.OccurredAt, DeliveryID: dec.version.DeliveryID}
}

// stub lowers the decoder's version to that of nested copies.
func (dec *decoder) stub() *decoder {
	v := dec.version
	v.Rank = RankStub
	return &decoder{version: v}
}

// set makes a register of a member: absent writes nothing.
func set[T any](dec *decoder, m member[T]) Field[T] {
	dec.check(m.err)
	if !m.present || m.err != nil {
		return Field[T]{}
	}
	return Field[T]{Value: m.value, Version: dec.version}
}

// setNonNull is set for members whose null says no more than their absence.
func setNonNull[T any](dec *decoder, m member[T]) Field[T] {
	if m.null {
		return Field[T]{}
	}
	return set(dec, m)
}

func organizationEvent(dec *decoder, _ EventType, data object) Facts {
	o := dec.organization(data)
	o.Tombstone = dec.tombstone()
	return Facts{Organizations: []Organization{o}}
}

func (dec *decoder) organization(o object) Organization {
	org := Organization{
		ID:             dec.id(o, "id", "org_"),
		Name:           setNonNull(dec, o.text("name")),
		Slug:           set(dec, nullable(o.text("slug"))),
		ImageURL:       set(dec, nullable(o.text("image_url"))),
		CreatedBy:      set(dec, nullable(o.text("created_by"))),
		CreatedAt:      setNonNull(dec, o.millis("created_at")),
		PublicMetadata: setNonNull(dec, o.raw("public_metadata")),
	}
	return org
}

func membershipEvent(dec *decoder, _ EventType, data object) Facts {
	stub := dec.stub()
	organization := stub.organization(data.child("organization").value)
	user := stub.publicUserData(data.child("public_user_data").value)
	dec.check(errors.Join(stub.errs...))
	m := Membership{
		ID:             dec.id(data, "id", "orgmem_"),
		OrganizationID: organization.ID,
		UserID:         user.ID,
		Role:           setNonNull(dec, data.text("role")),
		RoleName:       set(dec, nullable(data.text("role_name"))),
		Permissions:    setNonNull(dec, data.texts("permissions")),
		CreatedAt:      setNonNull(dec, data.millis("created_at")),
		PublicMetadata: setNonNull(dec, data.raw("public_metadata")),
		Tombstone:      dec.tombstone(),
	}
	if m.Role.Value == "" && !m.Tombstone.Dead() {
		dec.check(fmt.Errorf("%w: membership without a role", ErrUndecodable))
	}
	return Facts{Memberships: []Membership{m}, Users: []User{user}, Organizations: []Organization{organization}}
}

func (dec *decoder) publicUserData(o object) User {
	return User{
		ID:            dec.id(o, "user_id", "user_"),
		Identifier:    set(dec, nullable(o.text("identifier"))),
		FirstName:     set(dec, nullable(o.text("first_name"))),
		LastName:      set(dec, nullable(o.text("last_name"))),
		ImageURL:      set(dec, nullable(o.text("image_url"))),
		Banned:        setNonNull(dec, o.boolean("banned")),
		Deprovisioned: setNonNull(dec, o.boolean("deprovisioned")),
	}
}

func userEvent(dec *decoder, _ EventType, data object) Facts {
	u := User{
		ID:            dec.id(data, "id", "user_"),
		FirstName:     set(dec, nullable(data.text("first_name"))),
		LastName:      set(dec, nullable(data.text("last_name"))),
		ImageURL:      set(dec, nullable(data.text("image_url"))),
		Banned:        setNonNull(dec, data.boolean("banned")),
		Deprovisioned: setNonNull(dec, data.boolean("deprovisioned")),
		CreatedAt:     setNonNull(dec, data.millis("created_at")),
		Tombstone:     dec.tombstone(),
	}
	if !u.Tombstone.Dead() {
		u.Identifier = Field[*string]{Value: dec.identifier(data), Version: dec.version}
	}
	return Facts{Users: []User{u}}
}
