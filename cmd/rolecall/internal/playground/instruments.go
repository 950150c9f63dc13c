package playground

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/simulator"
)

// instruments adds the pages that show and disturb the product's work. The panel is a document of
// its own in a frame of each page: so its forms lead nowhere else, also without a script.
func (p *Playground) instruments() {
	for pattern, handle := range map[string]func(*visit) error{
		"GET /{$}": showLanding, "POST /two": openTwo, "GET /two": showTwo, "GET /terminal": showTerminal,
		"GET /panel": showPanel, "POST /panel/switch": flip, "POST /panel/clerk": changeAtClerk, "POST /panel/sweep": sweep,
	} {
		p.mux.HandleFunc(pattern, p.serve("", route{needs: anyone, handle: handle}))
	}
}

// scene is the two people whose windows are side by side, and their workspace.
type scene struct {
	Admin, Member simulator.Person
	Workspace     simulator.Workspace
}

func (p *Playground) scene() (s scene) {
	s.Admin, _ = p.cfg.Cast.Person("admin")
	s.Member, _ = p.cfg.Cast.Person("member")
	s.Workspace, _ = p.cfg.Cast.Workspace("northwind")
	return s
}

func showLanding(v *visit) error { return v.show(http.StatusOK, "landing", "Playground", v.p.scene()) }

// openTwo signs both in, each in a window.
func openTwo(v *visit) error {
	s, done := v.p.scene(), row{At: time.Now()}
	for window, person := range map[string]simulator.Person{"/left": s.Admin, "/right": s.Member} {
		if err := v.p.signIn(v.w, v.r, window, person.UserID, s.Workspace.ID); err != nil {
			return err
		}
	}
	done.Title = s.Admin.Name + " and " + s.Member.Name + " signed in"
	v.p.acted(done)
	return redirection("/two")
}

func showTwo(v *visit) error { return v.show(http.StatusOK, "two", "Two windows", v.p.scene()) }

// showTerminal shows lines to paste into a terminal.
func showTerminal(v *visit) error {
	lines, err := v.p.cfg.Terminal(v.r.Context())
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "terminal", "In a terminal", lines)
}

// fault is a switch of the panel. Holds says when a change at Clerk holds while it is on.
type fault struct {
	Key, Name, Holds string
	on               *bool
}

// On reports whether it is on.
func (f fault) On() bool { return *f.on }

// faults returns all switches. Each turns its field of s but the first one, whose field is a time.
func faults(s *simulator.Switches) []fault {
	return []fault{
		{"delay", "Delay webhooks", "when its webhook comes, or after “Sweep now”.", new(s.Delay > 0)},
		{"drop", "Lose webhooks", "only after “Sweep now”.", &s.Drop},
		{"repeat", "Send webhooks thrice", "at once: repeats change nothing.", &s.Repeat},
		{"reorder", "Shuffle webhooks", "within 5 seconds. The newest change wins, whichever webhook comes last.", &s.Reorder},
		{"disabled", "Disable the endpoint", "only after “Sweep now”, also once the endpoint is enabled again.", &s.EndpointDisabled},
		{"down", "Take Clerk’s API down", "at once, for webhooks come. Changes in the product and “Sweep now” fail until it is back. Sessions go on here. Should Clerk’s tokens fail, too, each session would end within a minute.", &s.ClerkDown},
	}
}

// flip turns a switch on or off, or all of them off.
func flip(v *visit) error {
	v.p.history.switching.Lock()
	defer v.p.history.switching.Unlock()
	done, s := row{At: time.Now()}, v.p.cfg.Simulator.Switches()
	key, to, _ := strings.Cut(v.r.PostFormValue("turn"), " ")
	for _, f := range faults(&s) {
		if f.Key == key {
			*f.on, done.Title = to == "on", f.Name+": "+to
		}
	}
	switch key {
	case "normal":
		s, done.Title = simulator.Switches{}, "Back to normal"
	case "delay":
		seconds, _ := strconv.ParseUint(v.r.PostFormValue("seconds"), 10, 16)
		if s.Delay = 0; to == "on" {
			s.Delay = max(time.Duration(seconds)*time.Second, time.Second)
		}
	}
	if err := v.p.cfg.Simulator.Switch(s); err != nil || done.Title == "" {
		return refusal(http.StatusUnprocessableEntity, "There is no such switch, or no such delay")
	}
	return v.toPanel(done, "")
}

// changeAtClerk changes the membership of the person on the right, invites a guest, or renames the
// workspace, as in Clerk's own dashboard. Only of strangers, Rolecall learns without webhooks.
func changeAtClerk(v *visit) (err error) {
	s, world, do := v.p.scene(), v.p.cfg.Simulator.World(), v.r.PostFormValue("do")
	done := row{At: time.Now(), WorkspaceID: s.Workspace.ID, Title: "At Clerk: " + do + " " + s.Member.Name}
	switch do {
	case "promote":
		_, err = world.SetRole(s.Workspace.ID, s.Member.UserID, clerksim.RoleAdmin)
	case "demote":
		_, err = world.SetRole(s.Workspace.ID, s.Member.UserID, clerksim.RoleMember)
	case "add":
		_, err = world.AddMember(s.Workspace.ID, s.Member.UserID, clerksim.RoleMember)
	case "remove":
		err = world.RemoveMember(s.Workspace.ID, s.Member.UserID)
	case "rename":
		name := s.Workspace.Name + time.Now().Format(", 15:04:05.000") // another one at each click
		done.Title = "At Clerk: rename the workspace to " + name
		_, err = world.UpdateOrganization(s.Workspace.ID, clerksim.OrganizationUpdate{Name: &name})
	case "invite":
		guest := fmt.Sprintf("guest%d@example.test", len(v.p.cfg.Simulator.Mail("")))
		done.Title = "At Clerk: invite " + guest
		_, err = world.Invite(s.Workspace.ID, s.Admin.UserID, guest, clerksim.RoleMember)
	}
	if err != nil {
		words := strings.Fields(err.Error())
		for i, word := range words {
			words[i] = v.p.name(word) // ids say nothing to people
		}
		return v.toPanel(done, strings.Join(words, " "))
	}
	return v.toPanel(done, "")
}

// sweep orders a sweep, and shows the panel again when it has ended.
func sweep(v *visit) error {
	done := row{At: time.Now(), Title: "Sweep now"}
	said, err := v.p.cfg.Sweep(context.WithoutCancel(v.r.Context()))
	if err != nil {
		said = err.Error()
	}
	return v.toPanel(done, said)
}

// toPanel notes an action with the answer to it, "" for none, and shows the panel.
func (v *visit) toPanel(done row, said string) error {
	if said != "" {
		done.add(time.Now(), step{Name: "Answer", Text: said})
	}
	v.p.acted(done)
	return redirection("/panel")
}
