package sync

// identifier returns what a user is known by: the primary e-mail address, else the primary phone number, else the
// username, as Clerk's public_user_data does; nil if there is none. Primary is the element whose id the user names,
// which needn't be the first.
func (dec *decoder) identifier(user object) *string {
	for _, source := range []struct{ list, primary, value string }{
		{"email_addresses", "primary_email_address_id", "email_address"},
		{"phone_numbers", "primary_phone_number_id", "phone_number"},
	} {
		elements, primary := read[[]object](user, source.list), user.text(source.primary)
		dec.check(elements.err)
		dec.check(primary.err)
		for _, e := range elements.value {
			if id := e.text("id"); primary.value != "" && id.value == primary.value {
				value := e.text(source.value)
				dec.check(value.err)
				return &value.value
			}
		}
	}
	username := user.text("username")
	dec.check(username.err)
	if username.value == "" {
		return nil
	}
	return &username.value
}
