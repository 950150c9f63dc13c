package clerksim

import "encoding/json"

// userBody is a user in its events and in the Backend API. It has no memberships in it.
type userBody struct {
	Object                   string             `json:"object"`
	ID                       string             `json:"id"`
	ExternalID               *string            `json:"external_id"`
	FirstName                *string            `json:"first_name"`
	LastName                 *string            `json:"last_name"`
	Username                 *string            `json:"username"`
	Locale                   *string            `json:"locale"`
	Timezone                 *string            `json:"timezone"`
	ImageURL                 string             `json:"image_url"`
	ProfileImageURL          string             `json:"profile_image_url"` // legacy
	HasImage                 bool               `json:"has_image"`
	PrimaryEmailAddressID    *string            `json:"primary_email_address_id"`
	PrimaryPhoneNumberID     *string            `json:"primary_phone_number_id"`
	PrimaryWeb3WalletID      *string            `json:"primary_web3_wallet_id"`
	EmailAddresses           []emailAddressBody `json:"email_addresses"`
	PhoneNumbers             []phoneNumberBody  `json:"phone_numbers"`
	Web3Wallets              []struct{}         `json:"web3_wallets"`
	Passkeys                 []struct{}         `json:"passkeys"`
	ExternalAccounts         []struct{}         `json:"external_accounts"`
	SAMLAccounts             []struct{}         `json:"saml_accounts"` // legacy
	EnterpriseAccounts       []struct{}         `json:"enterprise_accounts"`
	PublicMetadata           json.RawMessage    `json:"public_metadata"`
	PrivateMetadata          json.RawMessage    `json:"private_metadata"`
	UnsafeMetadata           json.RawMessage    `json:"unsafe_metadata"`
	PasswordEnabled          bool               `json:"password_enabled"`
	PasswordLastUpdatedAt    *int64             `json:"password_last_updated_at"`
	TwoFactorEnabled         bool               `json:"two_factor_enabled"`
	TOTPEnabled              bool               `json:"totp_enabled"`
	BackupCodeEnabled        bool               `json:"backup_code_enabled"`
	MFAEnabledAt             *int64             `json:"mfa_enabled_at"`
	MFADisabledAt            *int64             `json:"mfa_disabled_at"`
	DeleteSelfEnabled        bool               `json:"delete_self_enabled"`
	CreateOrganizations      bool               `json:"create_organization_enabled"`
	CreateOrganizationsLimit *int64             `json:"create_organizations_limit"`
	Banned                   bool               `json:"banned"`
	Locked                   bool               `json:"locked"`
	LockoutExpiresInSeconds  *int64             `json:"lockout_expires_in_seconds"`
	VerificationAttemptsLeft *int64             `json:"verification_attempts_remaining"`
	Deprovisioned            *bool              `json:"deprovisioned,omitempty"`
	SCIM                     *scimBody          `json:"scim,omitempty"`
	LastSignInAt             *int64             `json:"last_sign_in_at"`
	LastActiveAt             *int64             `json:"last_active_at"`
	LegalAcceptedAt          *int64             `json:"legal_accepted_at"`
	CreatedAt                int64              `json:"created_at"`
	UpdatedAt                int64              `json:"updated_at"`
}

// identificationBody has the members that addresses and numbers share.
type identificationBody struct {
	ID           string           `json:"id"`
	Reserved     bool             `json:"reserved"`
	Verification verificationBody `json:"verification"`
	LinkedTo     []struct{}       `json:"linked_to"`
	CreatedAt    int64            `json:"created_at"`
	UpdatedAt    int64            `json:"updated_at"`
}

type emailAddressBody struct {
	Object               string `json:"object"`
	EmailAddress         string `json:"email_address"`
	MatchesSSOConnection bool   `json:"matches_sso_connection"`
	identificationBody
}

type phoneNumberBody struct {
	Object                  string   `json:"object"`
	PhoneNumber             string   `json:"phone_number"`
	ReservedForSecondFactor bool     `json:"reserved_for_second_factor"`
	DefaultSecondFactor     bool     `json:"default_second_factor"`
	BackupCodes             []string `json:"backup_codes"`
	identificationBody
}

type verificationBody struct {
	Object   string `json:"object"`
	Status   string `json:"status"`
	Strategy string `json:"strategy"`
	Attempts *int   `json:"attempts"`
	ExpireAt *int64 `json:"expire_at"`
}

// scimBody ties a user to the directory that provisions it.
type scimBody struct {
	DirectoryID      string  `json:"directory_id"`
	DirectoryEnabled bool    `json:"directory_enabled"`
	ExternalID       *string `json:"external_id"`
}

func (w *World) userBody(u *user) userBody {
	body := userBody{
		Object:                   "user",
		ID:                       u.id,
		ExternalID:               u.ExternalID,
		FirstName:                u.FirstName,
		LastName:                 u.LastName,
		Username:                 u.Username,
		ImageURL:                 imageHost + u.id,
		ProfileImageURL:          imageHost + "legacy/" + u.id,
		PrimaryEmailAddressID:    nullable(u.PrimaryEmailID),
		PrimaryPhoneNumberID:     nullable(u.PrimaryPhoneID),
		EmailAddresses:           make([]emailAddressBody, len(u.Emails)),
		PhoneNumbers:             make([]phoneNumberBody, len(u.Phones)),
		Web3Wallets:              []struct{}{},
		Passkeys:                 []struct{}{},
		ExternalAccounts:         []struct{}{},
		SAMLAccounts:             []struct{}{},
		EnterpriseAccounts:       []struct{}{},
		PublicMetadata:           u.PublicMetadata,
		PrivateMetadata:          u.PrivateMetadata,
		UnsafeMetadata:           u.UnsafeMetadata,
		DeleteSelfEnabled:        true,
		CreateOrganizations:      true,
		Banned:                   u.Banned,
		VerificationAttemptsLeft: new(int64(100)),
		LastActiveAt:             new(u.CreatedAt.UnixMilli()),
		CreatedAt:                u.CreatedAt.UnixMilli(),
		UpdatedAt:                u.UpdatedAt.UnixMilli(),
	}
	if u.password != nil {
		body.PasswordEnabled, body.PasswordLastUpdatedAt = true, new(u.password.changedAt.UnixMilli())
	}
	for i, email := range u.Emails {
		body.EmailAddresses[i] = emailAddressBody{
			Object: "email_address", EmailAddress: email.Value, MatchesSSOConnection: u.Directory,
			identificationBody: identificationBodyOf(u, email, "email_code"),
		}
	}
	for i, phone := range u.Phones {
		body.PhoneNumbers[i] = phoneNumberBody{
			Object: "phone_number", PhoneNumber: phone.Value,
			identificationBody: identificationBodyOf(u, phone, "phone_code"),
		}
	}
	if u.Directory { // other users were seen without either field
		body.Deprovisioned = new(u.Deprovisioned)
		body.SCIM = &scimBody{DirectoryID: "scimdir_" + u.id[len("user_"):], DirectoryEnabled: true}
	}
	return body
}

func identificationBodyOf(u *user, i Identification, strategy string) identificationBody {
	verification := verificationBody{Object: "verification_scim", Status: "verified", Strategy: "scim"}
	if !u.Directory {
		verification = verificationBody{
			Object: "verification_otp", Status: "verified", Strategy: strategy,
			Attempts: new(1), ExpireAt: new(i.CreatedAt.UnixMilli() + 600_000),
		}
	}
	return identificationBody{
		ID: i.ID, Verification: verification, LinkedTo: []struct{}{},
		CreatedAt: i.CreatedAt.UnixMilli(), UpdatedAt: i.CreatedAt.UnixMilli(),
	}
}
