package playground

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/simulator"
)

const (
	// maxMails bounds the mailbox's page.
	maxMails = 100
	// admissionTime is how long a new member waits for the webhook: Rolecall doesn't look up again
	// whom it refused in the last ten seconds.
	admissionTime = 12 * time.Second
)

// inbox is what the mailbox shows: the invitations to everybody, or the one whose link is opened.
type inbox struct {
	Mails         []simulator.Mail
	Opened, Known bool // Known: somebody has the address
	Foreign       bool // somebody else is signed in
}

func showMail(v *visit) error {
	if v.token != "" {
		_ = v.readWorkspaces() // without them, the page has no menu
	}
	shown := inbox{Mails: v.p.cfg.Simulator.Mail("")}
	if v.r.URL.Path == v.window+"/accept" {
		shown.Mails = slices.DeleteFunc(shown.Mails, func(m simulator.Mail) bool { return m.Ticket != v.r.FormValue("ticket") })
		if len(shown.Mails) == 0 {
			return refusal(http.StatusNotFound, "There is no such invitation")
		}
		owner := v.p.owner(shown.Mails[0].To)
		shown.Opened, shown.Known, shown.Foreign = true, owner != "", v.token != "" && owner != v.session.userID
	}
	shown.Mails = shown.Mails[:min(len(shown.Mails), maxMails)]
	return v.show(http.StatusOK, "mail", "Mail", shown)
}

// accept signs in the person with the invited address, as Clerk's page does, whoever was signed in
// before. It signs up a new person first.
func accept(v *visit) error {
	if err := v.p.errClerkDown(); err != nil {
		return err
	}
	done := row{At: time.Now()}
	user, joined, err := v.p.cfg.Simulator.World().AcceptTicket(v.r.PostFormValue("ticket"), v.text("name"), "")
	switch {
	case errors.Is(err, clerksim.ErrNotFound):
		return refusal(http.StatusNotFound, "There is no such invitation")
	case err != nil:
		return refusal(http.StatusConflict, "This invitation can't be accepted: "+err.Error())
	}
	done.WorkspaceID, done.Title = joined.OrganizationID, v.p.name(user.ID)+" accepted the invitation to "+v.p.name(joined.OrganizationID)
	v.p.acted(done)
	if err := v.p.signIn(v.w, v.r, v.window, user.ID, joined.OrganizationID); err != nil {
		return err
	}
	return v.awaitAdmission(joined)
}

// awaitAdmission leads a new member to the dashboard once Rolecall knows them.
func (v *visit) awaitAdmission(joined clerksim.Membership) error {
	ctx, cancel := context.WithTimeout(v.r.Context(), admissionTime)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		token, err := v.p.cfg.Simulator.World().SessionToken(joined.UserID, clerksim.TokenOptions{})
		if err == nil {
			_, err = v.p.rolecall.call(ctx, token, http.MethodGet, "/v1/workspaces/"+joined.OrganizationID+"/me", nil, nil)
		}
		if refused, ok := errors.AsType[*problem](err); !ok || refused.Status != http.StatusNotFound {
			return redirection("/dashboard") // which also tells those whom Rolecall knows, and refuses
		}
		<-ticker.C
	}
}
