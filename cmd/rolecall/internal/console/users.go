package console

import (
	"context"

	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/store"
)

// usersPage is the data of the template "users".
type usersPage struct {
	Search string
	support.Users

	Pager pager
}

func (c *Console) users(ctx context.Context, v *visit) (any, error) {
	data := usersPage{Search: v.filter("q")}
	var after store.NamePosition
	if err := v.cursor(&after); err != nil {
		return nil, err
	}
	var err error
	data.Users, err = support.SearchUsers(ctx, v.db, data.Search, after, listSize)
	data.Pager = v.following(position(data.Next))
	return data, err
}

// userPage is the data of the template "user".
type userPage struct {
	support.User

	Name     string
	Pager    pager
	Question question
	Entries  entries
}

func (c *Console) user(ctx context.Context, v *visit) (any, error) {
	found, err := c.findUser(ctx, v)
	if err != nil {
		return nil, err
	}
	var after store.Position
	if err := v.cursor(&after); err != nil {
		return nil, err
	}
	data := userPage{Name: v.title}
	data.User, err = support.ReadUser(ctx, v.db, found, after, support.Limits{Memberships: listSize, Former: glanceSize, Entries: glanceSize})
	if err != nil {
		return nil, err
	}
	data.Pager = v.following(position(data.Next))
	data.Entries.OfTarget = true
	if data.Entries.List, err = entriesOf(ctx, v.db, data.User.Entries); err != nil {
		return nil, err
	}
	data.Question = question{Action: pathTo("users", found.ID, "can")}
	for _, m := range data.Present {
		data.Question.Subjects = append(data.Question.Subjects, named{ID: m.OrganizationID, Name: support.WorkspaceName(m.Name, m.OrganizationID)})
	}
	data.Question, err = c.question(ctx, v, data.Question)
	return data, err
}

// findUser returns the person whom the path names, and makes the name the page's title.
func (c *Console) findUser(ctx context.Context, v *visit) (store.DirectoryUser, error) {
	id := v.PathValue("id")
	found, err := support.FindUser(ctx, v.db, id)
	if err == nil && found.ID != id { // an e-mail address isn't an address of a page: another one may have it tomorrow
		err = &support.NotFoundError{Kind: support.KindUser, Text: id}
	}
	v.title = support.Name(found.Person)
	return found, notHere(err)
}
