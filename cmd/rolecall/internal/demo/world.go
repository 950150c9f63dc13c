package demo

import "github.com/callmine/rolecall/internal/clerksim"

// smallWorld is the small world of `rolecall dev`: a workspace, its admin, two members, and a
// stranger.
type smallWorld struct {
	clerk                           *clerksim.World
	workspace                       string
	admin, member, leaver, stranger string
}

func newWorld(clerk *clerksim.World) (smallWorld, error) {
	w := smallWorld{clerk: clerk}
	for _, person := range []struct {
		id   *string
		name string
	}{{&w.admin, "admin"}, {&w.member, "member"}, {&w.leaver, "leaver"}, {&w.stranger, "stranger"}} {
		user, err := clerk.CreateUser(clerksim.NewUser{Emails: []string{person.name + "@callmine.test"}})
		if err != nil {
			return w, err
		}
		*person.id = user.ID
	}
	organization, err := clerk.CreateOrganization(clerksim.NewOrganization{Name: "Demo workspace", CreatedBy: w.admin})
	if err != nil {
		return w, err
	}
	w.workspace = organization.ID
	for _, id := range []string{w.member, w.leaver} {
		if _, err := clerk.AddMember(w.workspace, id, clerksim.RoleMember); err != nil {
			return w, err
		}
	}
	return w, nil
}
