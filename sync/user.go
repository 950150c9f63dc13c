package sync

// User is what the mirror knows of a Clerk user.
type User struct {
	Reference
	Tombstone
	Erased bool // the person asked for it: what Clerk says of names and addresses is left out

	Identifier    Field[*string] // e-mail, else phone number, else username; null if the user has none of them
	FirstName     Field[*string]
	LastName      Field[*string]
	ImageURL      Field[*string]
	Banned        Field[bool]
	Deprovisioned Field[bool]  // offboarded by directory sync
	CreatedAt     Field[int64] // epoch milliseconds
}

// Registers lists the user's fields by name with their versions, as the store needs them.
func (u *User) Registers() []Register {
	return []Register{
		{"identifier", &u.Identifier.Version},
		{"first_name", &u.FirstName.Version},
		{"last_name", &u.LastName.Version},
		{"image_url", &u.ImageURL.Version},
		{"banned", &u.Banned.Version},
		{"deprovisioned", &u.Deprovisioned.Version},
		{"created_at", &u.CreatedAt.Version},
	}
}

// Merge returns the least state that is at least as new as both: of each field the newer value.
func (u User) Merge(in User) User {
	return User{
		Reference: u.Reference.merge(in.Reference),
		Tombstone: u.Tombstone.merge(in.Tombstone),

		Erased: u.Erased || in.Erased,

		Identifier:    u.Identifier.merge(in.Identifier),
		FirstName:     u.FirstName.merge(in.FirstName),
		LastName:      u.LastName.merge(in.LastName),
		ImageURL:      u.ImageURL.merge(in.ImageURL),
		Banned:        u.Banned.merge(in.Banned),
		Deprovisioned: u.Deprovisioned.merge(in.Deprovisioned),
		CreatedAt:     u.CreatedAt.merge(in.CreatedAt),
	}
}

func userEvent(dec *decoder, data object) Facts {
	u := User{
		Reference:     Reference{ID: dec.id(data, "id", UserPrefix)},
		FirstName:     set(dec, nullable(data.text("first_name"))),
		LastName:      set(dec, nullable(data.text("last_name"))),
		ImageURL:      set(dec, nullable(data.text("image_url"))),
		Banned:        setStrict(dec, data.boolean("banned")),
		Deprovisioned: setStrict(dec, data.boolean("deprovisioned")),
		CreatedAt:     setCreated(dec, data),
		Tombstone:     dec.tombstone(),
	}
	u.Identifier = dec.identifier(data)
	return Facts{Subject: u.ID, Users: []User{u}}
}

func (dec *decoder) publicUserData(o object) User {
	return User{
		Reference:     Reference{ID: dec.id(o, "user_id", UserPrefix)},
		Identifier:    set(dec, nullable(o.text("identifier"))),
		FirstName:     set(dec, nullable(o.text("first_name"))),
		LastName:      set(dec, nullable(o.text("last_name"))),
		ImageURL:      set(dec, nullable(o.text("image_url"))),
		Banned:        setStrict(dec, o.boolean("banned")),
		Deprovisioned: setStrict(dec, o.boolean("deprovisioned")),
	}
}

// identifier returns the primary e-mail address, else the primary phone number, else the username,
// as Clerk's public_user_data does; nil if there is none. The primary element is the one whose id
// the user names, not the first. If all of them are absent, nothing is written.
func (dec *decoder) identifier(user object) Field[*string] {
	told := false
	for _, source := range []struct{ list, primary, value string }{
		{"email_addresses", "primary_email_address_id", "email_address"},
		{"phone_numbers", "primary_phone_number_id", "phone_number"},
	} {
		elements, primary := user.objects(source.list), user.text(source.primary)
		told = told || elements.present
		for _, e := range elements.value {
			if value := e.text(source.value); primary.value != "" && e.text("id").value == primary.value && value.err == nil {
				return Field[*string]{Value: &value.value, Version: dec.version}
			}
		}
	}
	username := user.text("username")
	switch {
	case username.value != "":
		return Field[*string]{Value: &username.value, Version: dec.version}
	case told || username.present:
		return Field[*string]{Version: dec.version}
	default:
		return Field[*string]{}
	}
}
