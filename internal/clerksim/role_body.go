package clerksim

// roleBody is a role in its events and in the Backend API.
type roleBody struct {
	Object            string           `json:"object"`
	ID                string           `json:"id"`
	Key               string           `json:"key"`
	Name              string           `json:"name"`
	Description       *string          `json:"description"`
	IsCreatorEligible bool             `json:"is_creator_eligible"`
	Permissions       []permissionBody `json:"permissions"`
	CreatedAt         int64            `json:"created_at"`
	UpdatedAt         int64            `json:"updated_at"`
}

// permissionBody is a permission in its events, in the Backend API and in a role.
type permissionBody struct {
	Object      string `json:"object"`
	ID          string `json:"id"`
	Key         string `json:"key"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Type        string `json:"type"`
	CreatedAt   int64  `json:"created_at"`
	UpdatedAt   int64  `json:"updated_at"`
}

// roleBodyOf takes the key in the spelling that the instance sends.
func roleBodyOf(r *role, key string) roleBody {
	body := roleBody{
		Object:            "role",
		ID:                r.id,
		Key:               key,
		Name:              r.Name,
		Description:       r.Description,
		IsCreatorEligible: r.elevated(),
		Permissions:       make([]permissionBody, len(r.permissions)),
		CreatedAt:         r.CreatedAt.UnixMilli(),
		UpdatedAt:         r.UpdatedAt.UnixMilli(),
	}
	for i, p := range r.permissions {
		body.Permissions[i] = permissionBodyOf(p)
	}
	return body
}

// permissionBodyOf gives Clerk's own permissions the type "system". Custom ones were seen with
// "user" and with "custom".
func permissionBodyOf(p *permission) permissionBody {
	kind := []string{"user", "custom"}[accident(p.id, 2)]
	if p.system() {
		kind = "system"
	}
	return permissionBody{
		Object:      "permission",
		ID:          p.id,
		Key:         p.Key,
		Name:        p.Name,
		Description: p.Description,
		Type:        kind,
		CreatedAt:   p.CreatedAt.UnixMilli(),
		UpdatedAt:   p.UpdatedAt.UnixMilli(),
	}
}
