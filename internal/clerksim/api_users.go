package clerksim

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"
)

const startingAfter = "starting_after"

type totalCountBody struct {
	Object     string `json:"object"`
	TotalCount int    `json:"total_count"`
}

// listUsers answers with a bare array, unlike every other list. Clerk promises that a walk with a
// cursor neither skips nor repeats users. So the order is the same in every call, whatever
// [Config.UnstableTies] says.
func (a *api) listUsers(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	query, distorted := req.URL.Query(), distortionOf(req)
	page, err := parsePage(query)
	if err != nil {
		return nil, err
	}
	rows, err := a.filteredUsers(query)
	if err != nil {
		return nil, err
	}
	if rows, err = userOrders().sorted(visible(rows, distorted), page); err != nil {
		return nil, err
	}
	if rows, err = a.usersAfter(rows, query.Get(startingAfter), page); err != nil {
		return nil, err
	}
	return arrayOf("[", shorten(take(rows, page), distorted), func(u *user) any { return a.world.userBody(u) }, "]"), nil
}

// userOrders are the orders that the Backend API document lists beside created_at, as far as the
// simulator has the data.
func userOrders() orders[*user] {
	all := identityOrders()
	all["updated_at"] = func(x, y *user) int { return x.UpdatedAt.Compare(y.UpdatedAt) }
	return all
}

// identityOrders compare users by their identities. A missing one comes first.
func identityOrders() orders[*user] {
	return orders[*user]{
		"first_name":    byField(func(u *user) *string { return u.FirstName }),
		"last_name":     byField(func(u *user) *string { return u.LastName }),
		"username":      byField(func(u *user) *string { return u.Username }),
		"email_address": byField(func(u *user) *string { return valueOf(u.Emails, u.PrimaryEmailID) }),
		"phone_number":  byField(func(u *user) *string { return valueOf(u.Phones, u.PrimaryPhoneID) }),
	}
}

func byField(field func(*user) *string) func(x, y *user) int {
	return func(x, y *user) int {
		return strings.Compare(*cmp.Or(field(x), new("")), *cmp.Or(field(y), new("")))
	}
}

// usersAfter cuts rows behind the cursor, the last user of the page before. Clerk doesn't document
// a cursor whose user was deleted meanwhile. Here it is invalid, which is the harder case for the
// caller.
func (a *api) usersAfter(rows []*user, cursor string, page pageRequest) ([]*user, error) {
	if cursor == "" {
		return rows, nil
	}
	if page.offset != 0 {
		return nil, refuseParam(ErrInvalid, startingAfter, "a cursor can't be combined with an offset")
	}
	if page.by != byCreation {
		return nil, refuseParam(ErrInvalid, startingAfter, "a cursor can't be combined with an order by %s", page.by)
	}
	last, ok := a.world.users.find(cursor)
	if !ok {
		return nil, refuseParam(ErrInvalid, startingAfter, "no user %s", cursor)
	}
	at, found := slices.BinarySearchFunc(rows, last, compareRows[*user])
	if page.descending {
		return rows[:at], nil
	}
	if found {
		at++
	}
	return rows[at:], nil
}

func (a *api) countUsers(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	rows, err := a.filteredUsers(req.URL.Query())
	if err != nil {
		return nil, err
	}
	distorted := distortionOf(req)
	return totalCountBody{Object: "total_count", TotalCount: len(visible(rows, distorted)) + distorted.miscount}, nil
}

func (a *api) user(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	u, err := a.world.findUser(mux.Vars(req)["id"])
	if err != nil {
		return nil, err
	}
	return a.userAnswer(u), checkVisible(req, u.id)
}

func (a *api) deleteUser(req *http.Request) (any, error) {
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	return a.world.deleteUser(mux.Vars(req)["id"])
}

func (a *api) banUser(req *http.Request) (any, error) { return a.setBanned(req, true) }

func (a *api) unbanUser(req *http.Request) (any, error) { return a.setBanned(req, false) }

func (a *api) setBanned(req *http.Request, banned bool) (any, error) {
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	u, err := a.world.setBanned(mux.Vars(req)["id"], banned)
	if err != nil {
		return nil, err
	}
	return a.userAnswer(u), nil
}

func (a *api) userAnswer(u *user) any { return withUnknownField(u.id, a.world.userBody(u)) }
