package support

import (
	"context"
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

// TargetID returns the target that a text names: a user by e-mail address, or else the text itself.
// Products' entries have targets of their own.
func TargetID(ctx context.Context, db store.DBTX, text string) (string, error) {
	if !strings.Contains(text, "@") {
		return text, nil
	}
	return UserID(ctx, db, text)
}
