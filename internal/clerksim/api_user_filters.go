package clerksim

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// userFilters are the parameters that narrow the list of users and their count alike.
func userFilters() []string {
	return append(identityFilters(), "user_id", "organization_id", "external_id", "banned", "created_at_before", "created_at_after")
}

// identityParameter is a parameter that narrows a list by values of a user; case doesn't matter.
type identityParameter struct {
	name     string
	valuesOf func(*user) []string
	partial  bool // a value that contains the text is enough; else one of several texts must be one of the values
}

func identityParameters() []identityParameter {
	return []identityParameter{
		{"email_address", addressesOf, false},
		{"phone_number", numbersOf, false},
		{"username", usernameOf, false},
		{"email_address_query", addressesOf, true},
		{"phone_number_query", numbersOf, true},
		{"username_query", usernameOf, true},
		{"name_query", namesOf, true},
		{"query", func(u *user) []string {
			return slices.Concat(addressesOf(u), numbersOf(u), usernameOf(u), namesOf(u), []string{u.id})
		}, true},
	}
}

// identityFilters are the names of all [identityParameter].
func identityFilters() []string {
	var names []string
	for _, parameter := range identityParameters() {
		names = append(names, parameter.name)
	}
	return names
}

// identityFilter returns what a query demands of a user's addresses, numbers and names, or nil if
// it demands nothing.
func identityFilter(query url.Values) (func(*user) bool, error) {
	var demands []func(*user) bool
	for _, parameter := range identityParameters() {
		wanted, err := manyValues(query, parameter.name)
		if err != nil {
			return nil, err
		}
		if len(wanted) > 0 {
			demands = append(demands, func(u *user) bool { return parameter.finds(u, wanted) })
		}
	}
	return meetsAll(demands), nil
}

func (p identityParameter) finds(u *user, wanted []string) bool {
	return slices.ContainsFunc(p.valuesOf(u), func(has string) bool {
		return slices.ContainsFunc(wanted, func(one string) bool {
			return strings.EqualFold(one, has) || p.partial && containsFold(has, one)
		})
	})
}

// meetsAll returns a demand that is met if all of several are; nil for none.
func meetsAll(demands []func(*user) bool) func(*user) bool {
	if len(demands) == 0 {
		return nil
	}
	return func(u *user) bool {
		return !slices.ContainsFunc(demands, func(met func(*user) bool) bool { return !met(u) })
	}
}

func (a *api) filteredUsers(query url.Values) ([]*user, error) {
	byID, err := parseIDFilter(query, "user_id")
	if err != nil {
		return nil, err
	}
	demands, err := userDemands(query)
	if err != nil {
		return nil, err
	}
	rows := a.world.users.pick(byID)
	if demand := meetsAll(demands); demand != nil {
		rows = matching(rows, demand)
	}
	return rows, nil
}

// userDemands are all that a query demands of a user, beside the id.
func userDemands(query url.Values) ([]func(*user) bool, error) {
	var demands []func(*user) bool
	for _, read := range []func(url.Values) (func(*user) bool, error){
		identityFilter,
		idDemand("organization_id", (*user).isIn),
		idDemand("external_id", func(u *user, wanted string) bool { return u.ExternalID != nil && *u.ExternalID == wanted }),
		bannedDemand,
		ageDemand("created_at_before", time.Time.Before),
		ageDemand("created_at_after", time.Time.After),
	} {
		demand, err := read(query)
		if err != nil {
			return nil, err
		}
		if demand != nil {
			demands = append(demands, demand)
		}
	}
	return demands, nil
}

func idDemand(name string, has func(u *user, id string) bool) func(url.Values) (func(*user) bool, error) {
	return func(query url.Values) (func(*user) bool, error) {
		filter, err := parseIDFilter(query, name)
		if err != nil || filter.empty() {
			return nil, err
		}
		return func(u *user) bool { return filter.matchesAny(func(id string) bool { return has(u, id) }) }, nil
	}
}

func bannedDemand(query url.Values) (func(*user) bool, error) {
	raw := query.Get("banned")
	if raw == "" {
		return nil, nil //nolint:nilnil // nothing is demanded
	}
	banned, err := strconv.ParseBool(raw)
	if err != nil {
		return nil, refuseParam(ErrInvalid, "banned", "banned must be true or false, not %q", raw)
	}
	return func(u *user) bool { return u.Banned == banned }, nil
}

func ageDemand(name string, meets func(created, bound time.Time) bool) func(url.Values) (func(*user) bool, error) {
	return func(query url.Values) (func(*user) bool, error) {
		raw := query.Get(name)
		if raw == "" {
			return nil, nil //nolint:nilnil // nothing is demanded
		}
		bound, err := strconv.ParseInt(raw, 10, 64)
		if err != nil {
			return nil, refuseParam(ErrInvalid, name, "%s must be milliseconds since 1970, not %q", name, raw)
		}
		return func(u *user) bool { return meets(u.CreatedAt, time.UnixMilli(bound)) }, nil
	}
}

func addressesOf(u *user) []string { return valuesOf(u.Emails) }

func numbersOf(u *user) []string { return valuesOf(u.Phones) }

func usernameOf(u *user) []string { return present(u.Username) }

func namesOf(u *user) []string { return present(u.FirstName, u.LastName) }

func valuesOf(identifications []Identification) []string {
	values := make([]string, len(identifications))
	for i, one := range identifications {
		values[i] = one.Value
	}
	return values
}

func present(texts ...*string) []string {
	var found []string
	for _, text := range texts {
		if text != nil {
			found = append(found, *text)
		}
	}
	return found
}

func (u *user) isIn(organizationID string) bool {
	return slices.ContainsFunc(u.memberships.ordered, func(m *membership) bool { return m.organization.id == organizationID })
}

func (u *user) hasAddress(address string) bool {
	return slices.ContainsFunc(u.Emails, func(e Identification) bool { return strings.EqualFold(e.Value, address) })
}
