package clerksim

import "encoding/json"

// domainObject is the object member of domains.
const domainObject = "organization_domain"

// domainBody is a domain in its events and in the Backend API. Raw fields are those that may be
// null or absent.
type domainBody struct {
	Object                  string                      `json:"object"`
	ID                      string                      `json:"id"`
	OrganizationID          string                      `json:"organization_id"`
	Name                    string                      `json:"name"`
	EnrollmentMode          string                      `json:"enrollment_mode"`
	AffiliationEmailAddress *string                     `json:"affiliation_email_address"`
	AffiliationVerification json.RawMessage             `json:"affiliation_verification,omitempty"`
	OwnershipVerification   json.RawMessage             `json:"ownership_verification,omitempty"`
	Verification            *domainVerificationBody     `json:"verification"` // legacy, the affiliation's
	TotalPendingInvitations int                         `json:"total_pending_invitations"`
	TotalPendingSuggestions int                         `json:"total_pending_suggestions"`
	PublicOrganizationData  *publicOrganizationDataBody `json:"public_organization_data,omitempty"`
	CreatedAt               int64                       `json:"created_at"`
	UpdatedAt               int64                       `json:"updated_at"`
}

type domainVerificationBody struct {
	Status     string `json:"status"`
	Strategy   string `json:"strategy"`
	Attempts   *int   `json:"attempts"`
	ExpireAt   *int64 `json:"expire_at"`
	VerifiedAt *int64 `json:"verified_at"`
}

// domainBodyOf is the domain as the Backend API shows it.
func domainBodyOf(d *domain) domainBody {
	body := domainBody{
		Object:                  domainObject,
		ID:                      d.id,
		OrganizationID:          d.organization.id,
		Name:                    d.Name,
		EnrollmentMode:          d.EnrollmentMode,
		AffiliationVerification: json.RawMessage("null"),
		OwnershipVerification:   json.RawMessage("null"),
		PublicOrganizationData:  new(publicOrganizationDataOf(d.organization)),
		CreatedAt:               d.CreatedAt.UnixMilli(),
		UpdatedAt:               d.UpdatedAt.UnixMilli(),
	}
	if d.Verification == VerificationNone {
		return body
	}
	affiliation := domainVerificationBody{
		Status: string(d.Verification), Strategy: "affiliation_email_code", Attempts: new(1),
	}
	ownership := domainVerificationBody{Status: string(d.Verification), Strategy: "txt"}
	if !d.VerifiedAt.IsZero() {
		ownership.VerifiedAt = new(d.VerifiedAt.UnixMilli())
	}
	body.AffiliationEmailAddress = new("it@" + d.Name)
	body.Verification, body.AffiliationVerification = &affiliation, mustMarshal(affiliation)
	body.OwnershipVerification = mustMarshal(ownership)
	return body
}

// domainEventBody is the domain in its events. Some seen bodies have the organization and some
// don't; older ones have only one verification.
func domainEventBody(d *domain) domainBody {
	body := domainBodyOf(d)
	if accident(d.id+" organization", 2) == 0 {
		body.PublicOrganizationData = nil
	}
	if accident(d.id+" verification", 2) == 0 {
		body.AffiliationVerification, body.OwnershipVerification = nil, nil
	}
	return body
}
