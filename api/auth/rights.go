package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	clerksync "github.com/callmine/rolecall/sync"
)

// Scope is one thing that a service may be allowed to do. The values are part of the configuration
// and of the API.
type Scope string

// The scopes of a service. [Scopes] lists them.
const (
	// ScopeAuthorize allows to ask for decisions about any user.
	ScopeAuthorize Scope = "authorize"
	// ScopeRead allows to read workspaces, their members, invitations and audit logs, for a user or
	// in the service's own name.
	ScopeRead Scope = "read"
	// ScopeCommands allows to change workspaces for a user.
	ScopeCommands Scope = "commands"
	// ScopeAuditAppend allows to record events in audit logs.
	ScopeAuditAppend Scope = "audit:append"
)

// Scopes lists all scopes.
func Scopes() []Scope { return []Scope{ScopeAuthorize, ScopeRead, ScopeCommands, ScopeAuditAppend} }

// Rights say what a service may do, and where. They must not be changed. Nil rights are those of an
// entry without scopes and without workspaces.
type Rights struct {
	// Scopes are what the service may do. None means what services could do before there were
	// scopes: all but reading in their own names. A service that forgets to name the user must not
	// read more after an upgrade than before.
	Scopes []Scope
	// Workspaces are the ids of the only workspaces that the service may ask about, read and
	// change. None means all.
	Workspaces []string
}

// Has reports whether the service has a scope.
func (r *Rights) Has(scope Scope) bool { return !r.Scoped() || slices.Contains(r.Scopes, scope) }

// ReadsInOwnName reports whether the service may read without naming a user.
func (r *Rights) ReadsInOwnName() bool { return r.Scoped() && r.Has(ScopeRead) }

// In reports whether the rights extend to a workspace.
func (r *Rights) In(workspaceID string) bool {
	return r.Everywhere() || slices.Contains(r.Workspaces, workspaceID)
}

// Everywhere reports whether the rights extend to all workspaces, present and future.
func (r *Rights) Everywhere() bool { return r == nil || len(r.Workspaces) == 0 }

// Scoped reports whether the entry names scopes.
func (r *Rights) Scoped() bool { return r != nil && len(r.Scopes) > 0 }

// validate returns the fault of the rights, if any. It quotes nothing, as ParseServiceTokens
// promises.
func (r *Rights) validate() error {
	if r == nil {
		return nil
	}
	for i, scope := range r.Scopes {
		if !slices.Contains(Scopes(), scope) {
			return fmt.Errorf("scope %d is none of authorize, read, commands and audit:append", i+1)
		}
		if slices.Contains(r.Scopes[:i], scope) {
			return fmt.Errorf("scope %d is given twice", i+1)
		}
	}
	for i, workspaceID := range r.Workspaces {
		if !clerksync.ValidID(clerksync.OrganizationPrefix, workspaceID) {
			return fmt.Errorf("workspace %d is not the id of a workspace (org_…)", i+1)
		}
		if slices.Contains(r.Workspaces[:i], workspaceID) {
			return fmt.Errorf("workspace %d is given twice", i+1)
		}
	}
	return nil
}

// parseRights reads what may follow the hash of an entry: scopes=a+b and workspaces=org_1+org_2.
func parseRights(parts []string) (*Rights, error) {
	if len(parts) == 0 {
		return nil, nil //nolint:nilnil // nil rights are those of an entry without any
	}
	rights := &Rights{}
	for _, part := range parts {
		key, list, _ := strings.Cut(part, "=")
		values := strings.Split(list, "+")
		switch {
		case key == "scopes" && rights.Scopes == nil:
			for _, value := range values {
				rights.Scopes = append(rights.Scopes, Scope(value))
			}
		case key == "workspaces" && rights.Workspaces == nil:
			rights.Workspaces = values
		default:
			return nil, errors.New("after the hash may follow /scopes=… and /workspaces=…, each once")
		}
	}
	return rights, rights.validate()
}
