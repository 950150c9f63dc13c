package clerksim

import "math/rand/v2"

// streamRoleSets is the stream of randomness that makes the ids of role sets.
const streamRoleSets = 4

// defaultRoleSet is the key of the role set that every organization uses.
const defaultRoleSet = "role_set:default"

// roleSet is the row of the one role set that an instance starts with: all of its roles. Nothing
// changes it, because it has no event; legacy instances have none.
type roleSet struct {
	entry
	key, name string
}

type roleSetBody struct {
	Object      string            `json:"object"`
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Key         string            `json:"key"`
	Description *string           `json:"description"`
	Roles       []roleSetItemBody `json:"roles"`
	DefaultRole roleSetItemBody   `json:"default_role"`
	CreatorRole roleSetItemBody   `json:"creator_role"`
	Type        string            `json:"type"`
	Migration   *struct{}         `json:"role_set_migration"`
	CreatedAt   int64             `json:"created_at"`
	UpdatedAt   int64             `json:"updated_at"`
}

// roleSetItemBody is a role in a role set: without its permissions.
type roleSetItemBody struct {
	Object      string  `json:"object"`
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	Key         string  `json:"key"`
	Description *string `json:"description"`
	CreatedAt   int64   `json:"created_at"`
	UpdatedAt   int64   `json:"updated_at"`
}

// addDefaultRoleSet makes it as old as the roles. It draws the id from a stream of its own, so that
// all other ids don't depend on it.
func (w *World) addDefaultRoleSet() {
	id := newID(rand.New(rand.NewPCG(w.cfg.Seed, streamRoleSets)), "rset_")
	w.roleSets.insert(&roleSet{entry: entry{id: id, createdAt: w.roles.ordered[0].createdAt}, key: defaultRoleSet, name: "Default"})
}

func (w *World) roleSetBody(s *roleSet) roleSetBody {
	body := roleSetBody{
		Object:      "role_set",
		ID:          s.id,
		Name:        s.name,
		Key:         s.key,
		Roles:       make([]roleSetItemBody, w.roles.len()),
		DefaultRole: roleSetItemBodyOf(w.roleByKey(RoleMember)),
		CreatorRole: roleSetItemBodyOf(w.roleByKey(RoleAdmin)),
		Type:        "initial",
		CreatedAt:   s.createdAt,
		UpdatedAt:   s.createdAt,
	}
	for i, r := range w.roles.ordered {
		body.Roles[i] = roleSetItemBodyOf(r)
	}
	return body
}

func roleSetItemBodyOf(r *role) roleSetItemBody {
	return roleSetItemBody{
		Object:      "role_set_item",
		ID:          r.id,
		Name:        r.Name,
		Key:         r.Key,
		Description: r.Description,
		CreatedAt:   r.CreatedAt.UnixMilli(),
		UpdatedAt:   r.UpdatedAt.UnixMilli(),
	}
}
