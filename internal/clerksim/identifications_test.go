package clerksim_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

// TestUser_NameFallsBackToTheIdentifier: a user whom the Backend API made may have no name.
func TestUser_NameFallsBackToTheIdentifier(t *testing.T) {
	t.Parallel()
	emails := []clerksim.Identification{{ID: "idn_1", Value: "robin@example.test"}}
	for want, user := range map[string]clerksim.User{
		"Robin Moor":         {FirstName: new("Robin"), LastName: new("Moor"), Emails: emails, PrimaryEmailID: "idn_1"},
		"Moor":               {LastName: new("Moor")},
		"robin@example.test": {Emails: emails, PrimaryEmailID: "idn_1", Username: new("robin")},
		"robin":              {Username: new("robin")},
		"":                   {},
	} {
		require.Equal(t, want, user.Name())
	}
}
