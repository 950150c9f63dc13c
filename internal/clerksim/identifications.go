package clerksim

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Identification is an e-mail address or a phone number.
type Identification struct {
	// ID is "idn_" and 27 characters.
	ID string
	// Value is the address or the number.
	Value string
	// CreatedAt has a resolution of milliseconds.
	CreatedAt time.Time
}

// Identifier returns what Clerk shows of a user in a membership: the primary address, else the
// primary number, else the username, else nil.
func (u User) Identifier() *string {
	return cmp.Or(valueOf(u.Emails, u.PrimaryEmailID), valueOf(u.Phones, u.PrimaryPhoneID), u.Username)
}

// Name returns what people call the user: first and last name, else what [User.Identifier] returns,
// else "".
func (u User) Name() string {
	if name := strings.Join(present(u.FirstName, u.LastName), " "); name != "" {
		return name
	}
	if shown := u.Identifier(); shown != nil {
		return *shown
	}
	return ""
}

// valueOf returns the address or number with an id, or nil.
func valueOf(all []Identification, id string) *string {
	for _, i := range all {
		if i.ID == id {
			return &i.Value
		}
	}
	return nil
}

// haveEmail returns the id of the address, and adds the address if the user doesn't have it yet.
func (w *World) haveEmail(u *user, address string, now time.Time) string {
	for _, email := range u.Emails {
		if email.Value == address {
			return email.ID
		}
	}
	email := w.newIdentification(address, now)
	u.Emails = append(slices.Clone(u.Emails), email)
	return email.ID
}

func (w *World) newIdentification(value string, now time.Time) Identification {
	return Identification{ID: newID(w.rng, "idn_"), Value: value, CreatedAt: now}
}
