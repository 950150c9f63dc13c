package clerkapi

import (
	"errors"
	"fmt"

	clerksync "github.com/callmine/rolecall/sync"
)

// checkID refuses a text that can't be an id of Clerk's before it becomes part of a path or a
// filter. In a path, a slash would lead elsewhere. In a filter, a leading minus would mean "all
// but".
func checkID(id string) error {
	if id == "" {
		return errors.New("an id is missing")
	}
	if len(id) > clerksync.MaxID {
		return fmt.Errorf("an id of %d bytes isn't Clerk's", len(id))
	}
	for i, r := range id {
		isAlphanumeric := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !isAlphanumeric && (i == 0 || r != '_' && r != '-') {
			return fmt.Errorf("%q isn't an id of Clerk's", id)
		}
	}
	return nil
}
