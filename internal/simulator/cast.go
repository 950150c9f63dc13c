package simulator

import (
	"fmt"
	"strings"
	"time"

	"github.com/callmine/rolecall/internal/clerksim"
)

// RoleAnalyst is the custom role of the cast: a member who may also read billing.
const RoleAnalyst = "org:analyst"

// Cast is the workspaces and people that [Populate] made. All of it is invented.
type Cast struct {
	Workspaces []Workspace `json:"workspaces"`
	People     []Person    `json:"people"`
}

// Workspace is one organization of the cast.
type Workspace struct {
	// Key names it in code, such as "northwind".
	Key string `json:"key"`
	// ID, Name and Slug are the organization's.
	ID   string `json:"id"`
	Name string `json:"name"`
	Slug string `json:"slug"`
}

// Person is one user of the cast.
type Person struct {
	// Key says what the person is there for, such as "admin".
	Key string `json:"key"`
	// UserID, Name and Address are the user's.
	UserID  string `json:"user_id"`
	Name    string `json:"name"`
	Address string `json:"address"`
	// Banned says that Clerk has banned the user.
	Banned bool `json:"banned,omitempty"`
	// Roles are the keys of the roles at the beginning, by the id of the organization.
	Roles map[string]string `json:"roles"`
}

// Person returns the person with a key; ok is false if there is none.
func (c Cast) Person(key string) (found Person, ok bool) {
	for _, person := range c.People {
		if person.Key == key {
			return person, true
		}
	}
	return Person{}, false
}

// Workspace returns the workspace with a key; ok is false if there is none.
func (c Cast) Workspace(key string) (found Workspace, ok bool) {
	for _, workspace := range c.Workspaces {
		if workspace.Key == key {
			return workspace, true
		}
	}
	return Workspace{}, false
}

// castDomain is where the cast has its addresses. Nobody can register a domain below .test.
const castDomain = "@callmine.test"

// joining is the plan of one membership: which workspace the person joins, and in which role.
type joining struct{ workspace, role string }

// castPerson is the plan of one person. The first admin of a workspace creates it.
type castPerson struct {
	key, firstName, lastName string
	joins                    []joining
}

func castWorkspaces() []Workspace {
	return []Workspace{
		{Key: "northwind", Name: "Northwind Sales", Slug: "northwind"},
		{Key: "harbor", Name: "Harbor Support", Slug: "harbor"},
		{Key: "juniper", Name: "Juniper Labs", Slug: "juniper"},
	}
}

func castPeople() []castPerson {
	return []castPerson{
		{"admin", "Ada", "Berg", []joining{{"northwind", clerksim.RoleAdmin}, {"harbor", clerksim.RoleMember}}},
		{"member", "Ben", "Okafor", []joining{{"northwind", clerksim.RoleMember}}},
		{"other_admin", "Clara", "Lind", []joining{{"harbor", clerksim.RoleAdmin}, {"northwind", clerksim.RoleMember}}},
		{"analyst", "Daniel", "Novak", []joining{{"northwind", RoleAnalyst}}},
		{"leaver", "Elif", "Demir", []joining{{"northwind", clerksim.RoleMember}, {"juniper", clerksim.RoleMember}}},
		{"third_admin", "Farid", "Haddad", []joining{{"juniper", clerksim.RoleAdmin}}},
		{"banned", "Hugo", "Silva", []joining{{"northwind", clerksim.RoleMember}}},
		{"stranger", "Grace", "Kim", nil},
	}
}

// expiredLife is the shortest time that Clerk's clock can tell: an invitation that is expired by
// the time at which anybody looks.
const expiredLife = time.Millisecond

// Populate fills an empty world with invented people in three workspaces. One person is an admin in
// one of them and a member in another. There are a custom role, a banned user, two pending
// invitations and an expired one. One seed and one clock always give the same world.
func Populate(world *clerksim.World) (Cast, error) {
	p := populating{world: world, cast: Cast{Workspaces: castWorkspaces()}}
	p.role()
	p.people()
	p.memberships()
	p.invite("northwind", "admin", "iris"+castDomain, clerksim.RoleMember, 0)
	p.invite("harbor", "other_admin", "jonas"+castDomain, clerksim.RoleAdmin, 0)
	p.invite("northwind", "admin", "kemal"+castDomain, clerksim.RoleMember, expiredLife)
	p.ban("banned")
	if p.err != nil {
		return Cast{}, fmt.Errorf("populate the simulated Clerk: %w", p.err)
	}
	return p.cast, nil
}

// populating makes one change after the other, and none after an error.
type populating struct {
	world *clerksim.World
	cast  Cast
	err   error
}

func (p *populating) do(change func() error) {
	if p.err == nil {
		p.err = change()
	}
}

func (p *populating) role() {
	p.do(func() error {
		if _, err := p.world.CreatePermission("org:reports:export", "Export reports"); err != nil {
			return err
		}
		_, err := p.world.CreateRole(clerksim.NewRole{
			Key: RoleAnalyst, Name: "Analyst", Description: "Reads everything, and exports it",
			Permissions: []string{"org:sys_memberships:read", "org:sys_billing:read", "org:reports:export"},
		})
		return err
	})
}

func (p *populating) people() {
	for _, planned := range castPeople() {
		p.do(func() error {
			address := strings.ToLower(planned.firstName) + castDomain
			user, err := p.world.CreateUser(clerksim.NewUser{
				FirstName: planned.firstName, LastName: planned.lastName, Emails: []string{address},
			})
			p.cast.People = append(p.cast.People, Person{
				Key: planned.key, UserID: user.ID, Name: user.Name(), Address: address, Roles: map[string]string{},
			})
			return err
		})
	}
}

// memberships lets the first admin create each workspace, and then adds the others.
func (p *populating) memberships() {
	for i := range p.cast.Workspaces {
		workspace := &p.cast.Workspaces[i]
		for _, creating := range []bool{true, false} {
			for n, planned := range castPeople() {
				for _, wanted := range planned.joins {
					if wanted.workspace == workspace.Key && (wanted.role == clerksim.RoleAdmin) == creating {
						p.do(func() error { return p.join(workspace, p.cast.People[n], wanted.role) })
					}
				}
			}
		}
	}
}

// join makes a person a member. The first one creates the workspace.
func (p *populating) join(workspace *Workspace, person Person, role string) error {
	if workspace.ID == "" {
		organization, err := p.world.CreateOrganization(clerksim.NewOrganization{
			Name: workspace.Name, Slug: workspace.Slug, CreatedBy: person.UserID,
		})
		if err != nil {
			return err
		}
		workspace.ID = organization.ID
	} else if _, err := p.world.AddMember(workspace.ID, person.UserID, role); err != nil {
		return err
	}
	person.Roles[workspace.ID] = role
	return nil
}

func (p *populating) invite(workspaceKey, inviterKey, address, role string, lifetime time.Duration) {
	p.do(func() error {
		workspace, _ := p.cast.Workspace(workspaceKey)
		inviter, _ := p.cast.Person(inviterKey)
		_, err := p.world.CreateInvitation(clerksim.NewInvitation{
			OrganizationID: workspace.ID, InviterID: inviter.UserID, Email: address, Role: role, Lifetime: lifetime,
		})
		return err
	})
}

func (p *populating) ban(key string) {
	p.do(func() error {
		for i := range p.cast.People {
			if person := &p.cast.People[i]; person.Key == key {
				person.Banned = true
				_, err := p.world.BanUser(person.UserID)
				return err
			}
		}
		return nil
	})
}
