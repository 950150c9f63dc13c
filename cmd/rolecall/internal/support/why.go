package support

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// WhyQuestion asks why a person may do something in a workspace, or not.
type WhyQuestion struct {
	User       string // as [FindUser] takes it
	Workspace  string // as [FindWorkspace] takes it
	Permission string // "" asks for membership alone
}

// WhyAnswer is the answer to a [WhyQuestion], refusals included. Its reasoning has ids only; the
// names of person and workspace come from strangers.
type WhyAnswer struct {
	User      store.DirectoryUser      // Known is false if the mirror has only heard of the id
	Workspace store.DirectoryWorkspace // the same
	Reasoning clerksync.Reasoning
	Notes     []string // what the reader should know of the policy behind the answer: whole sentences
}

// ConfiguredPolicy is the policy of this process's settings. It may differ from the one by which
// the serving processes answer.
type ConfiguredPolicy struct {
	Policy *policy.Policy
	Source string // names its file
	Err    error  // why it couldn't be read; Policy is then nil
}

// Configured returns the policy as it was read, or failed to be.
func Configured(source string, read policy.Policy, err error) ConfiguredPolicy {
	if err != nil {
		return ConfiguredPolicy{Source: source, Err: err}
	}
	return ConfiguredPolicy{Policy: &read, Source: source}
}

// Why answers a question by the policy that the serving processes saved in the database. The
// configured one names the lines of grants if it grants the same. db must be a snapshot, so that
// the answer shows one moment. The error is a [*NotFoundError] or an [*AmbiguousError], or one of
// the database. An id that the mirror doesn't know is answered, too.
func Why(ctx context.Context, db store.DBTX, asked WhyQuestion, configured ConfiguredPolicy) (a WhyAnswer, err error) {
	if a.User, err = FindUser(ctx, db, asked.User); err != nil {
		if a.User.ID = unknownID(err); a.User.ID == "" {
			return a, err
		}
	}
	if a.Workspace, err = FindWorkspace(ctx, db, asked.Workspace); err != nil {
		if a.Workspace.ID = unknownID(err); a.Workspace.ID == "" {
			return a, err
		}
	}
	if asked.Permission != "" && !clerksync.Storable(asked.Permission) {
		return a, &PermissionError{Permission: asked.Permission}
	}
	inForce, notes, err := policyInForce(ctx, db, configured)
	if err != nil {
		return a, err
	}
	q, err := store.ReadInquiry(ctx, db, store.Pair{UserID: a.User.ID, OrganizationID: a.Workspace.ID})
	if err != nil {
		return a, err
	}
	q.Permission, q.Now = asked.Permission, time.Now()
	a.Reasoning, a.Notes = inForce.Explain(q), notes
	return a, nil
}

// PermissionError is the error of a text that can't be a permission.
type PermissionError struct{ Permission string }

func (e *PermissionError) Error() string {
	return fmt.Sprintf("%.80q can't be a permission: that is a text of at most %d bytes, such as billing:manage", e.Permission, clerksync.MaxID)
}

// unknownID returns the id that the mirror doesn't know, if the error says that; else "".
func unknownID(err error) string {
	if unknown, ok := errors.AsType[*NotFoundError](err); ok && unknown.ID {
		return unknown.Text
	}
	return ""
}

// policyInForce returns the policy by which the serving processes answer: the configured one if it
// grants what they saved, else their grants without lines.
func policyInForce(ctx context.Context, db store.DBTX, configured ConfiguredPolicy) (inForce *policy.Policy, notes []string, err error) {
	saved, err := store.Grants(ctx, db)
	switch {
	case err != nil:
		return nil, nil, err
	case configured.Err != nil && len(saved) == 0:
		return nil, nil, fmt.Errorf("no process has saved a policy yet, and the configured one can't be read: %w", configured.Err)
	case configured.Err != nil:
		notes = []string{fmt.Sprintf("The policy file couldn't be read, so no lines are named: %v.", configured.Err)}
	case len(saved) == 0:
		return configured.Policy, []string{"No process has saved a policy yet. This answer is by the configured one (" + configured.Source + ")."}, nil
	case store.SameGrants(saved, configured.Policy.Grants):
		return configured.Policy, nil, nil
	default:
		notes = []string{"This answer is by the policy of the serving processes. The configured one (" + configured.Source +
			") grants other things: reload the processes, or look for another file."}
	}
	return &policy.Policy{Grants: saved}, notes, nil
}
