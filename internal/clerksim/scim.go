package clerksim

// ManageByDirectory makes a company's directory manage one membership, or with an empty userID all
// of an organization. With managed false it ends that. The Backend API refuses to change or end
// managed memberships (ErrManagedBySCIM). The world's own methods still may: they stand for the
// directory. It refuses unknown ids (ErrNotFound).
func (w *World) ManageByDirectory(organizationID, userID string, managed bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if userID == "" {
		o, err := w.findOrganization(organizationID)
		if err != nil {
			return err
		}
		o.scim = managed
		return nil
	}
	m, err := w.findMembership(organizationID, userID)
	if err != nil {
		return err
	}
	m.scim = managed
	return nil
}

// checkManagedByHand refuses a membership that a directory manages, and an unknown one
// (ErrNotFound).
func (w *World) checkManagedByHand(organizationID, userID string) error {
	m, err := w.findMembership(organizationID, userID)
	if err != nil || !m.scim && !m.organization.scim {
		return err
	}
	return refuse(ErrManagedBySCIM, "a directory manages the membership of %s in %s", userID, organizationID)
}
