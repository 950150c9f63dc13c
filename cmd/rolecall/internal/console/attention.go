package console

import (
	"context"
	"slices"
	"time"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// attentionRows is how many workspaces a page lists.
const attentionRows = 50

func (c *Console) attentionPages() []page {
	return []page{{path: "/workspaces/attention", title: "Workspaces that need attention", template: "attention", load: c.attention}}
}

// needWords says what a need means, in words for operators.
type needWords struct {
	Name    string // for lists of needs
	Meaning string
	Cure    string
	Number  string // the heading of the number that tells how bad it is; "" for none
}

// wordsOf returns the words for a need.
func wordsOf(need clerksync.Need) needWords {
	switch need {
	case clerksync.NeedNoManager:
		return needWords{
			Name:    "No manager",
			Meaning: "No member of these workspaces may invite, promote or remove members. Members who are banned don't count. A workspace without any member is listed, too.",
			Cure:    "Ask the customer who should run the workspace, and make that person its admin in Clerk's dashboard. If the workspace isn't used any more, delete it there.",
		}
	case clerksync.NeedSingleManager:
		return needWords{
			Name:    "A single manager",
			Meaning: "One member alone may invite, promote or remove members. If that person leaves or is banned, the workspace has no manager.",
			Cure:    "Suggest to the customer to make a second member an admin. A workspace of one person needs nothing.",
		}
	case clerksync.NeedUnknownRole:
		return needWords{
			Name:    "An unknown role",
			Meaning: "Some members have a role to which neither the policy nor Clerk grants anything. Every permission is refused to them, with the reason unknown_role.",
			Cure:    "Add the role to the policy file, give it permissions at Clerk, or give these members another role.",
			Number:  "Of unknown role",
		}
	case clerksync.NeedOverSeatLimit:
		return needWords{
			Name:    "Over the seat limit",
			Meaning: "These workspaces have more memberships than Clerk allows them. That comes about when the limit is lowered. Members who are banned or deprovisioned take a seat, too. Rolecall admits all who may act, and Clerk refuses new members.",
			Cure:    "Raise the limit of the workspace in Clerk's dashboard, or ask the customer to remove members.",
			Number:  "Seats",
		}
	case clerksync.NeedExpiredInvitations:
		return needWords{
			Name:    "Expired invitations",
			Meaning: "Invitations have expired in the last 30 days, and their addresses weren't invited again. The invited people can't join.",
			Cure:    "Ask the customer whether these people are still expected, and let an admin invite them again.",
			Number:  "Expired",
		}
	default:
		return needWords{Name: string(need)}
	}
}

// unjudgedWords says why nothing can be said of any workspace.
func unjudgedWords(why clerksync.Unjudged) string {
	switch why {
	case clerksync.UnjudgedNeverSwept:
		return "The mirror was never compared with Clerk, so that members may be missing. Workspaces are judged after the first clean sweep."
	case clerksync.UnjudgedDatabaseChanged:
		return "Postgres is another one than before, so that changes may be missing. Workspaces are judged after the next clean sweep."
	case clerksync.UnjudgedNoPolicy:
		return "No process has saved a policy yet, so that it isn't known what each role may do. Start a process that answers requests."
	case clerksync.UnjudgedNotYet:
		return "Workspaces are judged for the first time. That takes some minutes."
	default:
		return ""
	}
}

// attentionPage is the data of the template "attention".
type attentionPage struct {
	needWords

	Unjudged      string // why nothing can be said; "" if something can
	NoneCanManage bool   // and the need is about managers
	ShowManagers  bool   // the need is about something else
	JudgedAt      time.Time
	Tabs          []attentionTab
	Rows          []attentionRow
	Pager         pager
}

// attentionTab links to the workspaces with one need.
type attentionTab struct {
	Name, Path string
	Workspaces int64
	Here       bool
}

type attentionRow struct {
	store.Attention

	Path   string
	Since  time.Time
	Number int64
	Taken  int64 // seats, of the Number that Clerk allows; 0: not known, or no matter
	// HasNumber says that Number is known.
	HasNumber bool
}

// attention loads the list of workspaces with one need.
func (c *Console) attention(ctx context.Context, v *visit) (any, error) {
	need := clerksync.Need(v.filter("needs"))
	if need == "" {
		need = clerksync.NeedNoManager
	}
	if !slices.Contains(clerksync.Needs(), need) {
		return nil, bad("There is no such need", "Choose one of the page's links.")
	}
	state, err := store.ReadAttentionState(ctx, v.db)
	if err != nil {
		return nil, err
	}
	aboutManagers := need.AboutManagers()
	data := attentionPage{
		needWords: wordsOf(need), Unjudged: unjudgedWords(state.Unjudged), JudgedAt: state.JudgedAt,
		NoneCanManage: state.NoneCanManage && aboutManagers, ShowManagers: !aboutManagers,
	}
	if data.Unjudged != "" {
		return data, nil
	}
	for _, n := range clerksync.Needs() {
		data.Tabs = append(data.Tabs, attentionTab{
			Name: wordsOf(n).Name, Path: query("/workspaces/attention", "needs", string(n)), Workspaces: state.Counts[n], Here: n == need,
		})
	}
	return data, data.list(ctx, v, need)
}

// list adds a page of workspaces.
func (p *attentionPage) list(ctx context.Context, v *visit, need clerksync.Need) error {
	var after store.NeedPosition
	if err := v.cursor(&after); err != nil {
		return err
	}
	found, next, err := store.WorkspacesNeeding(ctx, v.db, need, after, attentionRows)
	if err != nil {
		return err
	}
	for _, a := range found {
		row := attentionRow{
			Attention: a, Path: pathTo("workspaces", a.OrganizationID), Since: a.Since(need), Number: numberOf(a.Roster, need),
			HasNumber: a.Found.IsZero() || need == clerksync.NeedOverSeatLimit,
		}
		if need == clerksync.NeedOverSeatLimit {
			row.Taken = a.Seats.Taken
		}
		p.Rows = append(p.Rows, row)
	}
	if next != nil {
		p.Pager = v.following(*next)
	} else {
		p.Pager = v.following(nil)
	}
	return nil
}

// numberOf returns the number that tells how bad a need is.
func numberOf(r clerksync.Roster, need clerksync.Need) int64 {
	switch need {
	case clerksync.NeedUnknownRole:
		return r.UnknownRole
	case clerksync.NeedOverSeatLimit:
		return r.Seats.Limit
	case clerksync.NeedExpiredInvitations:
		return r.ExpiredInvitations
	default:
		return r.Managers
	}
}
