package clerksim

import (
	"slices"
	"time"
)

// CreateUser adds a user and emits user.created. It refuses an invalid Primary or metadata (ErrInvalid).
func (w *World) CreateUser(params NewUser) (User, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	u, err := w.createUser(params)
	if err != nil {
		return User{}, err
	}
	return u.clone(), nil
}

// createUser must be called with w.mu held.
func (w *World) createUser(params NewUser) (*user, error) {
	metadata, err := checkMetadata(params.PublicMetadata)
	if err != nil {
		return nil, err
	}
	if len(params.Emails) > 0 && (params.Primary < 0 || params.Primary >= len(params.Emails)) {
		return nil, refuseParam(ErrInvalid, "primary_email_address_id", "address %d does not exist", params.Primary)
	}
	now := w.now()
	params.PublicMetadata = metadata
	u := w.addUser(params, now)
	w.emit("user.created", u.id, now, w.userBody(u))
	return u, nil
}

// addUser adds what was checked and emits nothing.
func (w *World) addUser(params NewUser, now time.Time) *user {
	w.usersMade++
	params = params.withInvention(w.usersMade)
	u := &user{entry: w.newEntry("user_", now), memberships: newTable[*membership]()}
	u.User = User{
		ID:             u.id,
		FirstName:      nullable(params.FirstName),
		LastName:       nullable(params.LastName),
		Username:       nullable(params.Username),
		Directory:      params.Directory,
		PublicMetadata: params.PublicMetadata,
		CreatedAt:      now,
		UpdatedAt:      now,
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

// UpdateUser changes names, address or metadata and emits user.updated. It refuses an unknown user (ErrNotFound)
// and an empty address or invalid metadata (ErrInvalid).
func (w *World) UpdateUser(userID string, update UserUpdate) (User, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return copyOf(w.changeUser(userID, func(u *user, now time.Time) error {
		if update.Email != nil && *update.Email == "" {
			return refuseParam(ErrInvalid, "email_address", "an address can't be empty")
		}
		if update.PublicMetadata != nil {
			metadata, err := checkMetadata(update.PublicMetadata)
			if err != nil {
				return err
			}
			u.PublicMetadata = metadata
		}
		if update.FirstName != nil {
			u.FirstName = nullable(*update.FirstName)
		}
		if update.LastName != nil {
			u.LastName = nullable(*update.LastName)
		}
		if update.Email != nil {
			u.PrimaryEmailID = w.haveEmail(u, *update.Email, now)
		}
		return nil
	}))
}

// BanUser bans a user and emits user.updated. Memberships stay. It refuses an unknown user (ErrNotFound).
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
	return w.changeUser(userID, func(u *user, _ time.Time) error { u.Banned = banned; return nil })
}

// DeprovisionUser is what a directory does when somebody leaves the company: user.updated with deprovisioned
// true, and no user.deleted. The user counts as a directory's from then on. It refuses an unknown user (ErrNotFound).
func (w *World) DeprovisionUser(userID string) (User, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return copyOf(w.changeUser(userID, func(u *user, _ time.Time) error {
		u.Directory, u.Deprovisioned = true, true
		return nil
	}))
}

// RestoreUser undoes [World.DeprovisionUser]: user.updated with deprovisioned false. It refuses an unknown user
// (ErrNotFound).
func (w *World) RestoreUser(userID string) (User, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return copyOf(w.changeUser(userID, func(u *user, _ time.Time) error { u.Deprovisioned = false; return nil }))
}

// DeleteUser removes a user with all memberships, also where that leaves an organization without an admin, as
// Clerk does, and emits user.deleted; see [Config.MembershipEventsOnDelete]. It refuses an unknown user
// (ErrNotFound).
func (w *World) DeleteUser(userID string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.deleteUser(userID)
	return err
}

// deleteUser returns what Clerk answers, which is also the event's data. It must be called with w.mu held.
func (w *World) deleteUser(userID string) (deletedBody, error) {
	u, err := w.findUser(userID)
	if err != nil {
		return deletedBody{}, err
	}
	now := w.now()
	w.removeWithParent(u.memberships.ordered, now)
	w.users.remove(u)
	gone := u.clone()
	gone.Deleted = true
	w.goneUsers[u.id] = gone
	deleted := deletedBody{Object: "user", ID: u.id, Deleted: true}
	w.emit("user.deleted", u.id, now, deleted)
	return deleted, nil
}

// User returns a user who exists; ok is false for one who never did or is gone.
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

// haveEmail returns the id of the address, which is added where the user doesn't have it yet.
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
