package console

import (
	"context"
	"errors"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/store"
)

// reviewShown is how many members of an access review a page shows. The file has all.
const reviewShown = 200

// reviewPage is the data of the template "access_review".
type reviewPage struct {
	Workspace, At string // as they were written
	Of            *named
	Advice        string
	Terms         support.ReviewTerms
	Then          bool // of an instant in the past
	Large         bool // takes too long for a page
	Cut           bool // the log doesn't go back to the instant
	Members       []support.ReviewedMember
	Total         int
}

func (c *Console) accessReview(ctx context.Context, v *visit) (any, error) {
	data := reviewPage{Workspace: v.filter("workspace"), At: v.filter("at")}
	at, err := c.reviewed(data.At)
	if err != nil {
		return nil, err
	}
	data.Then = data.At != ""
	if data.Terms, err = support.Terms(ctx, v.db, at); err != nil || data.Workspace == "" {
		return data, err
	}
	data.Of, data.Advice, err = c.workspaceNamed(ctx, v, data.Workspace)
	if err != nil || data.Advice != "" {
		return data, err
	}
	data.Members, data.Total, err = support.ReviewWorkspace(ctx, v.db, data.Of.ID, at, reviewShown)
	data.Large, data.Cut = errors.Is(err, support.ErrLargeReview), errors.Is(err, store.ErrCut)
	if data.Large || data.Cut {
		return data, nil
	}
	return data, err
}

// reviewed returns the instant of a review. A day alone means its beginning, as for `rolecall`.
func (c *Console) reviewed(text string) (time.Time, error) {
	now := c.cfg.Now()
	if text == "" {
		return now, nil
	}
	at, err := c.instantOf("at", text)
	if err != nil {
		return at, err
	}
	if at.After(now) {
		return at, bad("That instant is in the future", "An access review is of the present or the past.")
	}
	return at, nil
}
