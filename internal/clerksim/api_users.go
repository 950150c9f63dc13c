package clerksim

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/gorilla/mux"
)

type totalCountBody struct {
	Object     string `json:"object"`
	TotalCount int    `json:"total_count"`
}

// listUsers answers a bare array, unlike every other list.
func (a *api) listUsers(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	query := req.URL.Query()
	page, err := parsePage(query)
	if err != nil {
		return nil, err
	}
	rows, err := a.filteredUsers(query)
	if err != nil {
		return nil, err
	}
	if rows, err = a.usersAfter(rows, query.Get(startingAfter), page); err != nil {
		return nil, err
	}
	return bodiesOf(take(rows, page), func(u *user) any { return a.world.userBody(u) }), nil
}

func (a *api) filteredUsers(query url.Values) ([]*user, error) {
	filter, err := parseIDFilter(query, "user_id")
	if err != nil {
		return nil, err
	}
	return filterRows(a.world.users.ordered, filter, rowID), nil
}

// usersAfter cuts rows behind the cursor, the last user of the page before. Clerk doesn't say what a cursor does
// whose user was deleted meanwhile; here it is invalid, so that the caller has to cope.
func (a *api) usersAfter(rows []*user, cursor string, page pageRequest) ([]*user, error) {
	if cursor == "" {
		return rows, nil
	}
	if page.offset != 0 {
		return nil, refuseParam(ErrInvalid, startingAfter, "a cursor can't be combined with an offset")
	}
	last, ok := a.world.users.find(cursor)
	if !ok {
		return nil, refuseParam(ErrInvalid, startingAfter, "no user %s", cursor)
	}
	at, found := slices.BinarySearchFunc(rows, last, compareRows[*user])
	if !page.oldestFirst {
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
	return totalCountBody{Object: "total_count", TotalCount: len(rows)}, nil
}

func (a *api) user(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	u, err := a.world.findUser(mux.Vars(req)["id"])
	if err != nil {
		return nil, err
	}
	return withUnknownField(u.id, a.world.userBody(u)), nil
}
