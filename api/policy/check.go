package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// defaultCheckTimeout bounds the search for workspaces without a manager. docs/policy.md says how
	// long it takes.
	defaultCheckTimeout = 20 * time.Second
	// mostCounted is how many of these workspaces are counted, and mostNamed how many are named.
	mostCounted, mostNamed = 1000, 3
)

// refusedError says why a policy is refused that can be read.
type refusedError struct{ reason string }

// Error implements error.
func (e *refusedError) Error() string { return e.reason }

// check returns why the step from the grants in force to a policy is refused; nil if it isn't. A
// step that takes members:manage from no role needs no look at the database, and one that was
// confirmed neither. If the database can't tell in time, the step is refused: the policy in force
// is known to work.
func (k *Keeper) check(ctx context.Context, inForce clerksync.Grants, next Policy) error {
	change := clerksync.GrantsChange{Before: inForce, After: next.Grants}
	lost, _ := change.Managers()
	if len(lost) == 0 || next.Confirmed {
		return nil
	}
	because := fmt.Sprintf("because %s would lose %s", strings.Join(lost, ", "), MembersManage)
	otherwise := "If that is meant, add this line to the policy file: " + Confirmation(next.Grants)
	ctx, cancel := context.WithTimeout(ctx, k.cfg.CheckTimeout)
	defer cancel()
	left, err := k.cfg.Left(ctx, change, mostCounted+1)
	switch {
	case err != nil:
		return &refusedError{reason: fmt.Sprintf("it isn't known whether a workspace would have no member any more who may manage members, %s: %v. "+
			"Reload it later. %s", because, err, otherwise)}
	case len(left) > 0:
		return &refusedError{reason: fmt.Sprintf("%s would have no member any more who may manage members, %s: %s. `rolecall policy diff` lists all. %s",
			countOf(left), because, namesOf(left), otherwise)}
	default:
		return nil
	}
}

// countOf says how many workspaces are left, as far as they were counted.
func countOf(left []store.LeftWorkspace) string {
	switch {
	case len(left) == 1:
		return "1 workspace"
	case len(left) > mostCounted:
		return fmt.Sprintf("more than %d workspaces", mostCounted)
	default:
		return fmt.Sprintf("%d workspaces", len(left))
	}
}

// namesOf names the first workspaces, by their ids: names come from strangers.
func namesOf(left []store.LeftWorkspace) string {
	var ids []string
	for _, w := range left[:min(len(left), mostNamed)] {
		ids = append(ids, w.ID)
	}
	if len(left) > mostNamed {
		ids = append(ids, "…")
	}
	return strings.Join(ids, ", ")
}

// Resume checks the policy that was read at the start against the one that a process saved last. If
// the step from that one is refused, the saved grants stay in force: a process that crashes at
// night, after the file was changed, comes back as it was. It does so before anything is answered.
// What isn't saved counts as it is in the file: routes, what impersonators are denied, and AuthZEN.
func (k *Keeper) Resume(ctx context.Context) error {
	saved, err := k.cfg.Saved(ctx)
	if err != nil {
		return err
	}
	read := *k.Policy()
	if err := k.check(ctx, saved, read); err != nil {
		k.refused.Store(&err)
		k.complain(ctx, err)
		read.Grants, read.places, read.Warnings = saved, nil, nil
		k.current.Store(&read)
		k.known = true
	}
	return ctx.Err()
}

// Refused returns why another policy is in force than the one that was read last; nil if it isn't.
func (k *Keeper) Refused() error {
	if why := k.refused.Load(); why != nil {
		return *why
	}
	return nil
}

// complain says that the policy in force stays.
func (k *Keeper) complain(ctx context.Context, err error) {
	said := "policy not read: the one in force stays"
	if _, refused := errors.AsType[*refusedError](err); refused {
		said = "policy refused: the one in force stays"
	}
	k.cfg.Logger.ErrorContext(ctx, said, "error", err, "source", k.cfg.Source)
}
