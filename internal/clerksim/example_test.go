package clerksim_test

import (
	"fmt"

	"github.com/callmine/rolecall/internal/clerksim"
)

// A world tells what happened by messages, and what is true by its directory.
func Example() {
	world, err := clerksim.New(clerksim.Config{Seed: 1})
	if err != nil {
		panic(err)
	}
	user, err := world.CreateUser(clerksim.NewUser{FirstName: "Robin"})
	if err != nil {
		panic(err)
	}
	organization, err := world.CreateOrganization(clerksim.NewOrganization{Name: "Quiet Harbour", CreatedBy: user.ID})
	if err != nil {
		panic(err)
	}
	for _, message := range world.Drain() {
		fmt.Println(message.Type)
	}
	fmt.Println(world.Directory().Role(organization.ID, user.ID))
	// Output:
	// user.created
	// organization.created
	// organizationMembership.created
	// org:admin
}
