package console

import (
	"context"
	"errors"

	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// question is the form "Can … do …?".
type question struct {
	Action      string // of the form
	InWorkspace bool   // asks about a person; else about a workspace
	Subject     string // that person or workspace, as it was asked for
	Permission  string
	Subjects    []named  // persons or workspaces that the form suggests
	Known       []string // permissions that some role has
}

// maxKnown is how many permissions the form suggests.
const maxKnown = 200

// question completes a form by what was asked and can be asked.
func (c *Console) question(ctx context.Context, v *visit, q question) (question, error) {
	q.Permission = v.filter("permission")
	q.Subject = v.filter("workspace")
	if q.InWorkspace {
		q.Subject = v.filter("user")
	}
	var err error
	q.Known, err = store.KnownPermissions(ctx, v.db, maxKnown)
	return q, err
}

// canPage is the data of the template "can".
type canPage struct {
	Question question
	Back     cause // where the question was asked

	Answer *support.WhyAnswer // nil: the question isn't answered
	Facts  []reasonFact
	Fault  string // why it isn't
	Among  []choice
}

// reasonFact is a fact with the page of its cause.
type reasonFact struct {
	clerksync.Fact

	Cause cause
}

// choice is one of several people or workspaces that a question may mean.
type choice struct {
	ID, Name, More string
	Path           string // asks the same question about this one
}

func (c *Console) canInWorkspace(ctx context.Context, v *visit) (any, error) {
	found, err := c.findWorkspace(ctx, v)
	if err != nil {
		return nil, err
	}
	back := cause{ID: v.title, Path: pathTo("workspaces", found.ID)}
	return c.can(ctx, v, question{Action: pathTo("workspaces", found.ID, "can"), InWorkspace: true}, back, found.ID)
}

func (c *Console) canOfUser(ctx context.Context, v *visit) (any, error) {
	found, err := c.findUser(ctx, v)
	if err != nil {
		return nil, err
	}
	back := cause{ID: v.title, Path: pathTo("users", found.ID)}
	return c.can(ctx, v, question{Action: pathTo("users", found.ID, "can")}, back, found.ID)
}

// can answers the question, or says what is wrong with it.
func (c *Console) can(ctx context.Context, v *visit, q question, back cause, id string) (any, error) {
	q, err := c.question(ctx, v, q)
	data := canPage{Question: q, Back: back}
	if err != nil {
		return nil, err
	}
	asked := support.WhyQuestion{User: id, Workspace: q.Subject, Permission: q.Permission}
	if q.InWorkspace {
		asked.User, asked.Workspace = q.Subject, id
	}
	answer, err := support.Why(ctx, v.db, asked, c.cfg.Policy(ctx))
	if err == nil {
		data.Answer, data.Facts = &answer, factsOf(answer)
		v.title = answer.Verdict()
		return data, nil
	}
	v.title = "Who is meant?"
	return data, data.blame(err)
}

// blame puts a fault of the question on the page; another error is returned.
func (p *canPage) blame(err error) error {
	unknown, isUnknown := errors.AsType[*support.NotFoundError](err)
	several, isSeveral := errors.AsType[*support.AmbiguousError](err)
	wrong, isWrong := errors.AsType[*support.PermissionError](err)
	switch {
	case p.Question.Subject == "" && p.Question.InWorkspace:
		p.Fault = "Say whom you mean: by id, e-mail address or name."
	case p.Question.Subject == "":
		p.Fault = "Say which workspace you mean: by id, slug or name."
	case isUnknown:
		p.Fault = sentence(unknown.Error())
	case isWrong:
		p.Fault = sentence(wrong.Error())
	case isSeveral:
		p.Fault = "Several match. Choose the one you mean."
		if several.More {
			p.Fault = "More match than are listed. Choose one of these, or write more."
		}
		p.Among = p.choices(several)
	default:
		return err
	}
	return nil
}

// choices lists whom or what an ambiguous question may mean.
func (p *canPage) choices(e *support.AmbiguousError) (among []choice) {
	name := "workspace"
	if p.Question.InWorkspace {
		name = "user"
	}
	add := func(c choice, deleted bool) {
		if deleted {
			c.More += " (deleted)"
		}
		c.Path = query(p.Question.Action, name, c.ID, "permission", p.Question.Permission)
		among = append(among, c)
	}
	for _, u := range e.Users {
		one := personOf(u.Person)
		add(choice{ID: u.ID, Name: one.Name, More: one.Identifier}, u.DeletedAt != nil)
	}
	for _, w := range e.Workspaces {
		more := ""
		if w.Slug != nil {
			more = *w.Slug
		}
		add(choice{ID: w.ID, Name: support.WorkspaceName(w.Name, w.ID), More: more}, w.DeletedAt != nil)
	}
	return among
}

// factsOf returns the facts of an answer with the pages of their causes.
func factsOf(a support.WhyAnswer) []reasonFact {
	facts := make([]reasonFact, len(a.Reasoning.Facts))
	for i, f := range a.Reasoning.Facts {
		facts[i] = reasonFact{Fact: f, Cause: causeOf(f.Cause, a.Workspace.ID, a.User.ID)}
	}
	return facts
}
