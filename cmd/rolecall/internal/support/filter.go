package support

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// The functions of this file read filters of lists. Unlike [FindUser] and [FindWorkspace], they
// take each id that Clerk may have made: the mirror may have lost an object whose deliveries and
// entries it has.

// WorkspaceID returns the id of the workspace that a text names; "" for the empty text. Its errors
// are those of [FindWorkspace].
func WorkspaceID(ctx context.Context, db store.DBTX, text string) (string, error) {
	if text == "" || clerksync.ValidID(clerksync.OrganizationPrefix, text) {
		return text, nil
	}
	found, err := FindWorkspace(ctx, db, text)
	return found.ID, err
}

// UserID returns the id of the user whom a text names; "" for the empty text. Its errors are those
// of [FindUser].
func UserID(ctx context.Context, db store.DBTX, text string) (string, error) {
	if text == "" || clerksync.ValidID(clerksync.UserPrefix, text) {
		return text, nil
	}
	found, err := FindUser(ctx, db, text)
	return found.ID, err
}

// servicePrefix begins the names of services that append entries.
const servicePrefix = "service:"

// ActorID returns the actor whom a text names: a user as [UserID] does, or service:NAME, or
// operator:NAME.
func ActorID(ctx context.Context, db store.DBTX, text string) (string, error) {
	if strings.HasPrefix(text, servicePrefix) || strings.HasPrefix(text, clerksync.OperatorPrefix) {
		return text, nil
	}
	return UserID(ctx, db, text)
}

// ActionError is the error of an action that no entry can have.
type ActionError struct{ Action string }

// Error names the actions among which the one that is meant probably is.
func (e *ActionError) Error() string {
	area, _, _ := strings.Cut(e.Action, ".")
	var meant []string
	for _, own := range clerksync.OwnActions() {
		if strings.HasPrefix(string(own), area+".") {
			meant = append(meant, string(own))
		}
	}
	slices.Sort(meant)
	return fmt.Sprintf("no entry has the action %.80q: those of %s are %s", e.Action, area, strings.Join(meant, ", "))
}

// CheckAction returns an [*ActionError] if no entry can have an action. Products record actions of
// their own, under names that Rolecall doesn't use.
func CheckAction(action string) error {
	if clerksync.Action(action).Never() {
		return &ActionError{Action: action}
	}
	return nil
}

// TargetID returns the target that a text names: a user by e-mail address, or else the text itself.
// Products' entries have targets of their own.
func TargetID(ctx context.Context, db store.DBTX, text string) (string, error) {
	if !strings.Contains(text, "@") {
		return text, nil
	}
	return UserID(ctx, db, text)
}
