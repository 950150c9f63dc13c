package demo

import (
	"slices"
	"strings"

	"github.com/callmine/rolecall/internal/simulator"
)

// The variables by which an application reaches Rolecall. They are no settings of Rolecall itself.
const (
	variableURL   = "ROLECALL_URL"
	variableToken = "ROLECALL_SERVICE_TOKEN"
)

// withoutOwn removes the variables that dev itself wrote from an environment: the file that it
// wrote may be .env.
func withoutOwn(environ []string) []string {
	return slices.DeleteFunc(environ, func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return name == variableURL || name == variableToken
	})
}

// writeVariables writes what an application beside this demo needs into a file: addresses and keys
// of Rolecall and the simulated Clerk, and ids and tokens of the cast. The file doesn't name the
// database, because a later dev would take that for one of the user's own.
func (d *Demo) writeVariables(path string) error {
	variables := []simulator.Variable{
		{Name: variableURL, Value: d.Rolecall, Comment: "Rolecall's API, and a token of a service that may ask, read, command and record."},
		{Name: variableToken, Value: d.ServiceToken},
	}
	clerk, err := d.Simulator.Environment()
	if err != nil {
		return err
	}
	return simulator.WriteEnvironment(path, "dev, for an application beside it. All of it is invented.",
		append(variables, clerk...))
}
