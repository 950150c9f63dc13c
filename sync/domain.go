package sync

// Domain is what the mirror knows of an e-mail domain of an organization.
type Domain struct {
	Reference
	Tombstone

	Name           Field[string]
	EnrollmentMode Field[string]
	Verification   Field[string] // status: "unverified", "verified" …
	CreatedAt      Field[int64]  // epoch milliseconds
}

// Registers lists the domain's fields by name with their versions, as the store needs them.
func (d *Domain) Registers() []Register {
	return []Register{
		{"name", &d.Name.Version},
		{"enrollment_mode", &d.EnrollmentMode.Version},
		{"verification", &d.Verification.Version},
		{"created_at", &d.CreatedAt.Version},
	}
}

// Merge returns the least state that is at least as new as both: of each field the newer value.
func (d Domain) Merge(in Domain) Domain {
	return Domain{
		Reference: d.Reference.merge(in.Reference),
		Tombstone: d.Tombstone.merge(in.Tombstone),

		Name:           d.Name.merge(in.Name),
		EnrollmentMode: d.EnrollmentMode.merge(in.EnrollmentMode),
		Verification:   d.Verification.merge(in.Verification),
		CreatedAt:      d.CreatedAt.merge(in.CreatedAt),
	}
}

func domainEvent(dec *decoder, data object) Facts {
	d := Domain{Reference: Reference{ID: dec.id(data, "id", DomainPrefix)}, Tombstone: dec.tombstone()}
	facts := Facts{Subject: d.ID}
	if !d.Tombstone.Dead() { // a deletion has only the id
		organization := dec.publicOrganizationData(data)
		d.OrganizationID = organization.ID
		facts.Organizations = []Organization{organization}
	}
	d.Name = setNonNull(dec, data.text("name"))
	d.EnrollmentMode = setNonNull(dec, data.text("enrollment_mode"))
	d.CreatedAt = setCreated(dec, data)
	if verification := data.child("verification"); verification.value != nil {
		d.Verification = setNonNull(dec, verification.value.text("status"))
	}
	facts.Domains = []Domain{d}
	return facts
}
