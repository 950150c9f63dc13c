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
	// FirstName, LastName, Username and ExternalID are nil where Clerk says null. The last is the
	// user's id in another system.
	FirstName, LastName, Username, ExternalID *string
	// Emails are the user's addresses, oldest first. There may be none, and any of them may be the
	// primary one.
	Emails []Identification
	// PrimaryEmailID is the id of the primary address, or empty.
	PrimaryEmailID string
	// Phones are the user's numbers, oldest first; PrimaryPhoneID is the id of the primary one, or
	// empty.
	Phones         []Identification
	PrimaryPhoneID string
	// Banned and Deprovisioned users keep their memberships and may do nothing.
	Banned, Deprovisioned bool
	// Directory says that a directory (SCIM) provisions the user. Bodies then have deprovisioned
	// and scim.
	Directory bool
	// Deleted is true only in a [Directory], which keeps deleted users.
	Deleted bool
	// PublicMetadata, PrivateMetadata and UnsafeMetadata are JSON objects. Browsers may write the
	// last.
	PublicMetadata, PrivateMetadata, UnsafeMetadata json.RawMessage
	// CreatedAt and UpdatedAt have a resolution of milliseconds.
	CreatedAt, UpdatedAt time.Time
}

func (u User) clone() User {
	u.Emails = slices.Clone(u.Emails)
	u.Phones = slices.Clone(u.Phones)
	return u
}

// NewUser describes a user to create. The zero value is a user with invented names and the address
// user-N@callmine.test. Every third of them also has an older address that isn't the primary one.
type NewUser struct {
	// FirstName and LastName are null if empty. If both are, names are invented, and every fourth
	// has no last name.
	FirstName, LastName string
	// Emails are the addresses, oldest first. A user without address, number and username gets an
	// invented address.
	Emails []string
	// Primary is the index in Emails of the primary one.
	Primary int
	// Phone is a number in E.164. It is the only identity of a user without others.
	Phone string
	// Username is null if empty.
	Username string
	// Directory says that a directory (SCIM) provisions the user.
	Directory bool
	// ExternalID is null if empty.
	ExternalID string
	// PublicMetadata, PrivateMetadata and UnsafeMetadata are JSON objects. Each defaults to {}.
	PublicMetadata, PrivateMetadata, UnsafeMetadata json.RawMessage

	password *password
	asGiven  bool // nothing is invented
}

// UserUpdate says what to change; nil leaves a field as it is.
type UserUpdate struct {
	// FirstName, LastName, Username and ExternalID become null if they point to an empty string.
	FirstName, LastName, Username, ExternalID *string
	// Email becomes the primary address. A new one is added behind the old ones, which stay.
	Email *string
	// PrimaryEmailID and PrimaryPhoneID make one of the user's addresses or numbers the primary one.
	PrimaryEmailID, PrimaryPhoneID *string
	// PublicMetadata, PrivateMetadata and UnsafeMetadata replace the whole object.
	PublicMetadata, PrivateMetadata, UnsafeMetadata json.RawMessage

	password *password
	signOut  bool // ends all sessions
}

// user is the row behind a [User]. Its slices are replaced, never written to: copies may share
// them.
type user struct {
	entry
	User
	memberships table[*membership]
	password    *password // nil without one; replaced, never written to
}

// withInvention invents names and an address for a user without any.
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

// CreateUser adds a user and emits user.created. It refuses an invalid Primary or metadata
// (ErrInvalid).
func (w *World) CreateUser(params NewUser) (User, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	u, err := w.createUser(params)
	if err != nil {
		return User{}, err
	}
	return u.clone(), nil
}

// metadata returns the user's metadata, or refuses it.
func (p NewUser) metadata() (userMetadata, error) {
	return emptyUserMetadata().combine(replaceMetadata, p.PublicMetadata, p.PrivateMetadata, p.UnsafeMetadata)
}

// createUser must be called with w.mu held.
func (w *World) createUser(params NewUser) (*user, error) {
	kept, err := params.metadata()
	if err != nil {
		return nil, err
	}
	if len(params.Emails) > 0 && (params.Primary < 0 || params.Primary >= len(params.Emails)) {
		return nil, refuseParam(ErrInvalid, "primary_email_address_id", "address %d does not exist", params.Primary)
	}
	now := w.now()
	u := w.addUser(params, kept, now)
	w.emit("user.created", u.id, now, w.userBody(u))
	return u, nil
}

// addUser adds a checked user and emits nothing.
func (w *World) addUser(params NewUser, kept userMetadata, now time.Time) *user {
	w.usersMade++
	if !params.asGiven {
		params = params.withInvention(w.usersMade)
	}
	u := &user{entry: w.newEntry("user_", now), memberships: newTable[*membership](), password: params.password.setAt(now)}
	u.User = User{
		ID:              u.id,
		FirstName:       nullable(params.FirstName),
		LastName:        nullable(params.LastName),
		Username:        nullable(params.Username),
		ExternalID:      nullable(params.ExternalID),
		Directory:       params.Directory,
		PublicMetadata:  kept.public,
		PrivateMetadata: kept.private,
		UnsafeMetadata:  kept.unsafe,
		CreatedAt:       now,
		UpdatedAt:       now,
	}
	for i, address := range params.Emails {
		email := w.newIdentification(address, now)
		u.Emails = append(u.Emails, email)
		if i == params.Primary {
			u.PrimaryEmailID = email.ID
		}
	}
	if params.Phone != "" {
		u.Phones = []Identification{w.newIdentification(params.Phone, now)}
		u.PrimaryPhoneID = u.Phones[0].ID
	}
	w.users.insert(u)
	return u
}

// UpdateUser changes names, ids, addresses or metadata and emits user.updated. It refuses an
// unknown user (ErrNotFound), an empty address, an address or number that the user doesn't have,
// and invalid metadata (ErrInvalid).
func (w *World) UpdateUser(userID string, update UserUpdate) (User, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return copyOf(w.updateUser(userID, update))
}

// updateUser must be called with w.mu held.
func (w *World) updateUser(userID string, update UserUpdate) (*user, error) {
	return w.changeUser(userID, func(u *user, now time.Time) error {
		kept, err := update.checked(u)
		if err != nil {
			return err
		}
		u.PublicMetadata, u.PrivateMetadata, u.UnsafeMetadata = kept.public, kept.private, kept.unsafe
		u.FirstName, u.LastName = changedText(u.FirstName, update.FirstName), changedText(u.LastName, update.LastName)
		u.Username, u.ExternalID = changedText(u.Username, update.Username), changedText(u.ExternalID, update.ExternalID)
		if update.Email != nil {
			u.PrimaryEmailID = w.haveEmail(u, *update.Email, now)
		}
		u.PrimaryEmailID = *cmp.Or(update.PrimaryEmailID, &u.PrimaryEmailID)
		u.PrimaryPhoneID = *cmp.Or(update.PrimaryPhoneID, &u.PrimaryPhoneID)
		if update.password != nil {
			u.password = update.password.setAt(now)
		}
		if update.signOut {
			w.dropSessions(u, now)
		}
		return nil
	})
}

// changedText is a field's value after an update: as it was, null for the empty string, or new.
func changedText(old, update *string) *string {
	if update == nil {
		return old
	}
	return nullable(*update)
}

// checked refuses an update that the user can't have, and returns the user's metadata after it.
func (p UserUpdate) checked(u *user) (userMetadata, error) {
	if p.Email != nil && *p.Email == "" {
		return userMetadata{}, refuseParam(ErrInvalid, "email_address", "an address can't be empty")
	}
	if id := p.PrimaryEmailID; id != nil && valueOf(u.Emails, *id) == nil {
		return userMetadata{}, refuseParam(ErrInvalid, "primary_email_address_id", "%s has no address %s", u.id, *id)
	}
	if id := p.PrimaryPhoneID; id != nil && valueOf(u.Phones, *id) == nil {
		return userMetadata{}, refuseParam(ErrInvalid, "primary_phone_number_id", "%s has no number %s", u.id, *id)
	}
	return u.metadata().combine(replaceMetadata, p.PublicMetadata, p.PrivateMetadata, p.UnsafeMetadata)
}

// BanUser bans a user and emits user.updated. Memberships stay. It refuses an unknown user
// (ErrNotFound).
func (w *World) BanUser(userID string) (User, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return copyOf(w.setBanned(userID, true))
}

// UnbanUser lifts a ban and emits user.updated. It refuses an unknown user (ErrNotFound).
func (w *World) UnbanUser(userID string) (User, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return copyOf(w.setBanned(userID, false))
}

// setBanned must be called with w.mu held.
func (w *World) setBanned(userID string, banned bool) (*user, error) {
	return w.changeUser(userID, func(u *user, now time.Time) error {
		if u.Banned = banned; banned {
			w.dropSessions(u, now)
		}
		return nil
	})
}

// DeprovisionUser does what a directory does for a user who leaves the company. It emits
// user.updated with deprovisioned true, and no user.deleted. The user counts as a directory's from
// then on. It refuses an unknown user (ErrNotFound).
func (w *World) DeprovisionUser(userID string) (User, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return copyOf(w.changeUser(userID, func(u *user, _ time.Time) error {
		u.Directory, u.Deprovisioned = true, true
		return nil
	}))
}

// RestoreUser undoes [World.DeprovisionUser]: user.updated with deprovisioned false. It refuses an
// unknown user (ErrNotFound).
func (w *World) RestoreUser(userID string) (User, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return copyOf(w.changeUser(userID, func(u *user, _ time.Time) error { u.Deprovisioned = false; return nil }))
}

// DeleteUser removes a user with all memberships and emits user.deleted; see
// [Config.MembershipEventsOnDelete]. As at Clerk, this may leave an organization without an admin.
// It refuses an unknown user (ErrNotFound).
func (w *World) DeleteUser(userID string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.deleteUser(userID)
	return err
}

// deleteUser returns Clerk's answer, which is also the event's data. It must be called with w.mu
// held.
func (w *World) deleteUser(userID string) (deletedBody, error) {
	u, err := w.findUser(userID)
	if err != nil {
		return deletedBody{}, err
	}
	now := w.now()
	w.removeWithParent(u.memberships.ordered, now)
	w.dropSessions(u, now)
	w.users.remove(u)
	gone := u.clone()
	gone.Deleted = true
	w.goneUsers[u.id] = gone
	deleted := deletedBody{Object: "user", ID: u.id, Deleted: true}
	w.emit("user.deleted", u.id, now, deleted)
	return deleted, nil
}

// User returns an existing user; ok is false if the user is deleted or never existed.
func (w *World) User(userID string) (found User, ok bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	u, ok := w.users.find(userID)
	if !ok {
		return User{}, false
	}
	return u.clone(), true
}

// changeUser must be called with w.mu held.
func (w *World) changeUser(userID string, change func(*user, time.Time) error) (*user, error) {
	u, err := w.findUser(userID)
	if err != nil {
		return nil, err
	}
	now := w.now()
	if err := change(u, now); err != nil {
		return nil, err
	}
	u.UpdatedAt = now
	w.emit("user.updated", u.id, now, w.userBody(u))
	return u, nil
}

func copyOf(u *user, err error) (User, error) {
	if err != nil {
		return User{}, err
	}
	return u.clone(), nil
}

func (w *World) findUser(userID string) (*user, error) {
	u, ok := w.users.find(userID)
	if !ok {
		return nil, refuse(ErrNotFound, "no user %s", userID)
	}
	return u, nil
}
