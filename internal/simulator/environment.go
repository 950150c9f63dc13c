package simulator

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/callmine/rolecall/internal/clerksim"
)

// Variable is one environment variable.
type Variable struct {
	Name, Value string
	// Comment stands above it in a file. It may be empty.
	Comment string
}

// castTokenLifetime is long, so that written tokens work all day; Clerk's live for a minute.
const castTokenLifetime = 24 * time.Hour

// Environment returns the variables by which Clerk's SDKs, Rolecall and one's own application reach
// the simulator. Those of the cast follow, if there is one: the ids, and a session token for each
// person. An error means that a key or a token couldn't be made.
func (s *Simulator) Environment() ([]Variable, error) {
	key, err := s.world.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("read the signing key: %w", err)
	}
	variables := []Variable{
		{"CLERK_SECRET_KEY", s.world.SecretKey(), "The simulated Clerk. Its keys open nothing else."},
		{"CLERK_PUBLISHABLE_KEY", s.world.PublishableKey(), ""},
		{"CLERK_API_URL", s.URL(), ""},
		{"CLERK_JWKS_URL", s.URL() + "/.well-known/jwks.json", ""},
		{"CLERK_JWT_KEY", key, "The public key, for SDKs that verify tokens without asking."},
		{"CLERK_ISSUER", s.world.Issuer(), ""},
		{"CLERK_AUTHORIZED_PARTIES", s.world.AuthorizedParty(), ""},
		{"CLERK_INSTANCE_ID", s.world.InstanceID(), ""},
		{"CLERK_WEBHOOK_SIGNING_SECRET", s.WebhookSecret(), ""},
		{"CLERK_TELEMETRY_DISABLED", "1", "Clerk's SDKs tell the real Clerk nothing."},
		{"SIMULATOR_URL", s.URL() + controlPrefix, "The control API."},
	}
	cast := s.shownCast()
	for _, workspace := range cast.Workspaces {
		variables = append(variables, Variable{"DEMO_" + strings.ToUpper(workspace.Key) + "_ID", workspace.ID, workspace.Name})
	}
	for _, person := range cast.People {
		token, err := s.world.SessionToken(person.UserID, clerksim.TokenOptions{Lifetime: castTokenLifetime})
		if err != nil {
			return nil, fmt.Errorf("make a session token for %s: %w", person.Key, err)
		}
		prefix := "DEMO_" + strings.ToUpper(person.Key)
		variables = append(variables,
			Variable{prefix + "_ID", person.UserID, person.Name + ", " + person.Address}, Variable{prefix + "_TOKEN", token, ""})
	}
	return variables, nil
}

// plain matches values that every reader of such files takes as they are.
var plain = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,=-]*$`)

// written begins the files of [WriteEnvironment], which tells them from others.
const written = "# Written by rolecall "

// WriteEnvironment writes a file of variables that a shell, a dotenv library and Node read alike:
// `set -a; . FILE`. Only its owner can read it, and a reader sees the old file or the whole new
// one. It replaces no file but its own, because a .env may hold the only copy of a key. The file's
// first line says who wrote it. No value may have a quotation mark or an apostrophe, because
// readers differ about these.
func WriteEnvironment(path, by string, variables []Variable) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s%s\n", written, by)
	for _, v := range variables {
		if v.Comment != "" {
			fmt.Fprintf(&text, "\n# %s\n", v.Comment)
		}
		value := v.Value
		switch {
		case strings.ContainsAny(value, "'\"`\\$"):
			return fmt.Errorf("write %s: the value of %s has a character that readers take differently", path, v.Name)
		case !plain.MatchString(value):
			value = "'" + value + "'"
		}
		fmt.Fprintf(&text, "%s=%s\n", v.Name, value)
	}
	err := refuseOther(path)
	if err == nil {
		err = replaceFile(path, []byte(text.String()))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// refuseOther returns an error if there is something at the path that WriteEnvironment didn't
// write.
func refuseOther(path string) error {
	found, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !found.Mode().IsRegular():
		return errors.New("this is no plain file: name another one")
	}
	text, err := os.ReadFile(path)
	if err == nil && len(text) > 0 && !strings.HasPrefix(string(text), written) {
		err = errors.New("this file holds something else, which would be lost: name another file, or move this one")
	}
	return err
}

// replaceFile writes beside the file, and then takes its place. A file that is there may be open to
// others, and its successor is not.
func replaceFile(path string, text []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name()) // the first error counts
	}
	return err
}
