package clerksim

import (
	"net/http"

	"github.com/gorilla/mux"
)

// passwordField is the field of a request that has a password.
const passwordField = "password"

// passwordRequest is the part of a request to create or change a user that sets a password.
type passwordRequest struct {
	Password           *string `json:"password"`
	SkipPasswordChecks *bool   `json:"skip_password_checks"`
}

// hashed returns what is kept of the password, or nil if the request has none.
func (r passwordRequest) hashed() (*password, error) {
	if r.Password == nil {
		return nil, nil //nolint:nilnil // a user may have no password
	}
	if r.SkipPasswordChecks == nil || !*r.SkipPasswordChecks {
		if err := checkPassword(*r.Password); err != nil {
			return nil, err
		}
	}
	return newPassword(*r.Password)
}

type verifiedBody struct {
	Verified bool `json:"verified"`
}

// verifyPassword answers only if the password is right.
func (a *api) verifyPassword(req *http.Request) (any, error) {
	var wanted struct {
		Password *string `json:"password"`
	}
	if err := readBody(req, &wanted); err != nil {
		return nil, err
	}
	if wanted.Password == nil {
		return nil, missing(passwordField)
	}
	kept, err := a.keptPassword(mux.Vars(req)["id"])
	if err != nil {
		return nil, err
	}
	right, err := kept.is(*wanted.Password)
	if err != nil {
		return nil, err
	}
	if !right {
		return nil, refuseParam(ErrPasswordIncorrect, passwordField, "Password is incorrect. Try again, or use another method.")
	}
	return verifiedBody{Verified: true}, nil
}

func (a *api) keptPassword(userID string) (*password, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	u, err := a.world.findUser(userID)
	if err != nil {
		return nil, err
	}
	if u.password == nil {
		return nil, refuse(ErrNoPassword, "%s has no password", u.id)
	}
	return u.password, nil
}
