package clerksim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// User is a copy of one user as the world knows it.
type User struct {
	// ID is "user_" and 27 characters.
	ID string
	// FirstName, LastName and Username are nil where Clerk says null.
	FirstName, LastName, Username *string
	// Emails are the user's addresses, oldest first. The primary one may be any of them, and there may be none.
	Emails []Identification
	// PrimaryEmailID is the id of the primary address, or empty.
	PrimaryEmailID string
	// Phones are the user's numbers, oldest first; PrimaryPhoneID is the id of the primary one, or empty.
	Phones         []Identification
	PrimaryPhoneID string
	// Banned and Deprovisioned users keep their memberships and may do nothing.
	Banned, Deprovisioned bool
	// Directory says that a directory (SCIM) provisions the user: then bodies carry deprovisioned and scim.
	Directory bool
	// Deleted is true only in a [Directory], which remembers who is gone.
	Deleted bool
	// PublicMetadata is a JSON object.
	PublicMetadata json.RawMessage
	// CreatedAt and UpdatedAt have a resolution of milliseconds.
	CreatedAt, UpdatedAt time.Time
}

// Identification is an e-mail address or a phone number.
type Identification struct {
	// ID is "idn_" and 27 characters.
	ID string
	// Value is the address or the number.
	Value string
	// CreatedAt has a resolution of milliseconds.
	CreatedAt time.Time
}

// Identifier returns what Clerk shows of a user in a membership: the primary address, else the primary number,
// else the username, else nil.
func (u User) Identifier() *string {
	return cmp.Or(valueOf(u.Emails, u.PrimaryEmailID), valueOf(u.Phones, u.PrimaryPhoneID), u.Username)
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

func (u User) clone() User {
	u.Emails = slices.Clone(u.Emails)
	u.Phones = slices.Clone(u.Phones)
	return u
}

// NewUser says whom to create. The zero value is a person with invented names and the address
// user-N@callmine.test; every third of them also has an older address that is not the primary one.
type NewUser struct {
	// FirstName and LastName are null if empty. If both are, names are invented, and every fourth has no last name.
	FirstName, LastName string
	// Emails are the addresses, oldest first. Without any address, number and username one is invented.
	Emails []string
	// Primary is the index in Emails of the primary one.
	Primary int
	// Phone is a number in E.164. A user with nothing else is known by it alone.
	Phone string
	// Username is null if empty.
	Username string
	// Directory says that a directory (SCIM) provisions the user.
	Directory bool
	// PublicMetadata is a JSON object. Defaults to {}.
	PublicMetadata json.RawMessage
}

// UserUpdate says what to change; nil leaves a field as it is.
type UserUpdate struct {
	// FirstName and LastName become null if they point to an empty string.
	FirstName, LastName *string
	// Email becomes the primary address. A new one is added behind the old ones, which stay.
	Email *string
	// PublicMetadata replaces the whole object.
	PublicMetadata json.RawMessage
}

// user is the row behind a [User]. Its slices are replaced, never written to: copies may share them.
type user struct {
	entry
	User
	memberships table[*membership]
}

// withInvention fills in a person where none was described.
func (p NewUser) withInvention(number int) NewUser {
	if p.FirstName == "" && p.LastName == "" {
		p.FirstName = "User"
		if number%4 != 0 {
			p.LastName = fmt.Sprintf("No. %d", number)
		}
	}
	if len(p.Emails) > 0 || p.Phone != "" || p.Username != "" {
		return p
	}
	p.Emails, p.Primary = []string{fmt.Sprintf("user-%d@callmine.test", number)}, 0
	if number%3 == 0 {
		p.Emails = slices.Insert(p.Emails, 0, fmt.Sprintf("former-%d@callmine.test", number))
		p.Primary = 1
	}
	return p
}
