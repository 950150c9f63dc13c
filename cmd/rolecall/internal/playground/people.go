package playground

import (
	"cmp"
	"net/http"
	"net/mail"
	"slices"
	"strings"
	"time"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/simulator"
)

// name is what people call a user or a workspace, as Clerk knows it; another text stays. Rolecall's
// API names members only, so this one names users who have left a workspace.
func (p *Playground) name(id string) string {
	if organization, ok := p.cfg.Simulator.World().Organization(id); ok {
		return organization.Name
	}
	if user, ok := p.cfg.Simulator.World().User(id); ok {
		return user.Name()
	}
	return id
}

// people are all who may sign in, with their roles at Clerk, in the order of their accounts.
func (p *Playground) people() (all []simulator.Person) {
	directory := p.cfg.Simulator.World().Directory()
	roles := map[string]map[string]string{}
	for id := range directory.Users {
		roles[id] = map[string]string{}
	}
	for _, m := range directory.Memberships() {
		roles[m.UserID][m.OrganizationID] = m.Role
	}
	for id, user := range directory.Users {
		if address := user.Identifier(); address != nil && !user.Deleted {
			all = append(all, simulator.Person{UserID: id, Name: p.name(id), Address: *address, Banned: user.Banned, Roles: roles[id]})
		}
	}
	cast := func(id string) int { // many of them are of the same millisecond
		return slices.IndexFunc(p.cfg.Cast.People, func(known simulator.Person) bool { return known.UserID == id })
	}
	slices.SortFunc(all, func(a, b simulator.Person) int {
		return cmp.Or(directory.Users[a.UserID].CreatedAt.Compare(directory.Users[b.UserID].CreatedAt),
			cmp.Compare(cast(a.UserID), cast(b.UserID)), cmp.Compare(a.UserID, b.UserID))
	})
	return all
}

// owner is the id of the user with an address; "" if there is none.
func (p *Playground) owner(address string) string {
	for _, known := range p.people() {
		if strings.EqualFold(known.Address, address) {
			return known.UserID
		}
	}
	return ""
}

func showNothing(*visit) error { return refusal(http.StatusNotFound, "There is no such page") }

func showSignIn(v *visit) error { return v.show(http.StatusOK, "sign-in", "Sign in", v.p.people()) }

func signIn(v *visit) error {
	return v.enter(row{At: time.Now(), Title: " signed in"}, v.r.PostFormValue("user_id"), "/dashboard")
}

// enter signs a person in, and leads to a page. The panel shows the answers that follow.
func (v *visit) enter(done row, userID, path string) error {
	if err := v.p.signIn(v.w, v.r, v.window, userID, ""); err != nil {
		return err
	}
	done.Title = v.p.name(userID) + done.Title
	v.p.acted(done)
	return redirection(path)
}

func signOut(v *visit) error {
	v.p.signOut(v.r, v.window)
	return redirection("/sign-in")
}

// account is what a new person wrote, and what is wrong with it.
type account struct{ Name, Email, Wrong string }

func showSignUp(v *visit) error { return v.show(http.StatusOK, "sign-up", "Sign up", account{}) }

// signUp makes an account, as Clerk's page does, and leads to the first workspace.
func signUp(v *visit) error {
	if err := v.p.errClerkDown(); err != nil {
		return err
	}
	done, form := row{At: time.Now(), Title: " signed up"}, account{Name: v.text("name"), Email: v.text("email")}
	address, err := mail.ParseAddress(form.Email)
	switch {
	case form.Name == "" || err != nil || address.Address != form.Email:
		form.Wrong = "Write your name, and an e-mail address such as robin@example.test."
	case v.p.owner(form.Email) != "":
		form.Wrong = "Somebody has this address: sign in instead."
	}
	if form.Wrong != "" {
		return v.show(http.StatusUnprocessableEntity, "sign-up", "Sign up", form)
	}
	first, last, _ := strings.Cut(form.Name, " ")
	user, err := v.p.cfg.Simulator.World().CreateUser(clerksim.NewUser{FirstName: first, LastName: last, Emails: []string{form.Email}})
	if err != nil {
		return err
	}
	return v.enter(done, user.ID, "/create-workspace")
}
