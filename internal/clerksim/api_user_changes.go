package clerksim

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"
)

// userRequest is the part of a request to create or change a user that the simulator uses.
type userRequest struct {
	passwordRequest
	ExternalID      *string `json:"external_id"`
	Username        *string `json:"username"`
	FirstName       *string `json:"first_name"`
	LastName        *string `json:"last_name"`
	SkipLegalChecks *bool   `json:"skip_legal_checks"` // there are none here
}

// userCreation is a [userRequest] with the fields that only a creation has.
type userCreation struct {
	userRequest
	metadataRequest
	UnsafeMetadata          json.RawMessage `json:"unsafe_metadata"`
	EmailAddress            []string        `json:"email_address"`
	PhoneNumber             []string        `json:"phone_number"`
	SkipPasswordRequirement *bool           `json:"skip_password_requirement"` // there is none here
}

func (r userCreation) params() (NewUser, error) {
	params := NewUser{
		Emails:         r.EmailAddress,
		Username:       *cmp.Or(r.Username, new("")),
		FirstName:      *cmp.Or(r.FirstName, new("")),
		LastName:       *cmp.Or(r.LastName, new("")),
		ExternalID:     *cmp.Or(r.ExternalID, new("")),
		PublicMetadata: unlessNull(r.Public), PrivateMetadata: unlessNull(r.Private), UnsafeMetadata: unlessNull(r.UnsafeMetadata),
		asGiven: true,
	}
	switch len(r.PhoneNumber) {
	case 0:
	case 1:
		params.Phone = r.PhoneNumber[0]
	default:
		return NewUser{}, refuseParam(ErrUnsimulated, "phone_number", "the simulator doesn't know users with two numbers")
	}
	if len(r.EmailAddress) == 0 && params.Phone == "" && params.Username == "" {
		return NewUser{}, missing("email_address")
	}
	for _, address := range r.EmailAddress {
		if !isAddress(address) {
			return NewUser{}, refuseParam(ErrFormat, "email_address", "%q is no e-mail address", address)
		}
	}
	var err error
	params.password, err = r.hashed()
	return params, err
}

// createUser makes a user with what the request has, and nothing invented.
func (a *api) createUser(req *http.Request) (any, error) {
	var wanted userCreation
	if err := readBody(req, &wanted); err != nil {
		return nil, err
	}
	params, err := wanted.params()
	if err != nil {
		return nil, err
	}
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	if err := a.world.freeIdentities(nil, params.Emails, params.Phone, params.Username, params.ExternalID); err != nil {
		return nil, err
	}
	u, err := a.world.createUser(params)
	if err != nil {
		return nil, err
	}
	return a.userAnswer(u), nil
}

// updateUser changes what the request has.
func (a *api) updateUser(req *http.Request) (any, error) {
	var wanted struct {
		userRequest
		metadataRequest
		UnsafeMetadata        json.RawMessage `json:"unsafe_metadata"`
		PrimaryEmailAddressID *string         `json:"primary_email_address_id"`
		PrimaryPhoneNumberID  *string         `json:"primary_phone_number_id"`
		NotifyAddressChanged  *bool           `json:"notify_primary_email_address_changed"` // no mail is sent here
		SignOutOtherSessions  *bool           `json:"sign_out_of_other_sessions"`
	}
	if err := readOptionalBody(req, &wanted); err != nil {
		return nil, err
	}
	if err := wanted.checkVersion(req, wanted.UnsafeMetadata); err != nil {
		return nil, err
	}
	update := UserUpdate{
		FirstName: wanted.FirstName, LastName: wanted.LastName, Username: wanted.Username, ExternalID: wanted.ExternalID,
		PrimaryEmailID: wanted.PrimaryEmailAddressID, PrimaryPhoneID: wanted.PrimaryPhoneNumberID,
		PublicMetadata: unlessNull(wanted.Public), PrivateMetadata: unlessNull(wanted.Private), UnsafeMetadata: unlessNull(wanted.UnsafeMetadata),
	}
	var err error
	if update.password, err = wanted.hashed(); err != nil {
		return nil, err
	}
	update.signOut = update.password != nil && wanted.SignOutOtherSessions != nil && *wanted.SignOutOtherSessions
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	u, err := a.world.findUser(mux.Vars(req)["id"])
	if err != nil {
		return nil, err
	}
	username, externalID := *cmp.Or(wanted.Username, new("")), *cmp.Or(wanted.ExternalID, new(""))
	if err := a.world.freeIdentities(u, nil, "", username, externalID); err != nil {
		return nil, err
	}
	if u, err = a.world.updateUser(u.id, update); err != nil {
		return nil, err
	}
	return a.userAnswer(u), nil
}

// freeIdentities refuses what another user has: at Clerk, each is unique. The world's own methods
// don't ask, so that a mirror can be shown what Clerk would never send.
func (w *World) freeIdentities(except *user, addresses []string, number, username, externalID string) error {
	for _, u := range w.users.ordered {
		if u == except {
			continue
		}
		switch {
		case slices.ContainsFunc(addresses, u.hasAddress):
			return refuseParam(ErrDuplicate, "email_address", "That email address is taken. Please try another.")
		case number != "" && slices.Contains(numbersOf(u), number):
			return refuseParam(ErrDuplicate, "phone_number", "That phone number is taken. Please try another.")
		case username != "" && u.Username != nil && strings.EqualFold(*u.Username, username):
			return refuseParam(ErrDuplicate, "username", "That username is taken. Please try another.")
		case externalID != "" && u.ExternalID != nil && *u.ExternalID == externalID:
			return refuseParam(ErrDuplicate, "external_id", "That external id is taken. Please try another.")
		}
	}
	return nil
}
