package clerksim_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/callmine/rolecall/internal/clerksim"
)

// Faults break the calls of the Backend API that they match, and count the calls.
func ExampleAPIFaults() {
	world, err := clerksim.New(clerksim.Config{})
	if err != nil {
		panic(err)
	}
	faults := clerksim.NewAPIFaults()
	handler := world.Handler(faults.Middleware)
	lift := faults.Fail(http.StatusBadGateway, clerksim.OnRoute("GET /organizations"))
	list := func() int {
		req := httptest.NewRequest(http.MethodGet, "/v1/organizations", http.NoBody)
		req.Header.Set("Authorization", "Bearer "+world.SecretKey())
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, req)
		return recorder.Code
	}
	fmt.Println(list())
	lift()
	fmt.Println(list())
	fmt.Println(faults.Calls())
	// Output:
	// 502
	// 200
	// map[GET /organizations:2]
}

// A world emits its changes as messages, and its directory has its state.
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
