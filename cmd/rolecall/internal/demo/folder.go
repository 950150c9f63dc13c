package demo

import (
	"context"
	"fmt"
	"os"
)

// makeFolder makes the folder of the files that live as long as the demo: the policy, and the
// tokens of the printed commands.
func (d *Demo) makeFolder() (err error) {
	if d.files, err = os.MkdirTemp("", "rolecall-dev-"); err != nil {
		return fmt.Errorf("make a folder for dev's files: %w", err)
	}
	d.cleanup.Add("files", func(context.Context) error { return os.RemoveAll(d.files) })
	return nil
}
