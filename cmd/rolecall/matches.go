package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
)

// asUsage lists the matches of an ambiguous name, and gives the exit code of a wrong command line
// to the errors of names.
func asUsage(out io.Writer, err error) error {
	ambiguous, several := errors.AsType[*support.AmbiguousError](err)
	if several {
		printMatches(out, ambiguous)
	}
	_, none := errors.AsType[*support.NotFoundError](err)
	_, malformed := errors.AsType[*support.PermissionError](err)
	if several || none || malformed {
		return &codedError{exitUsage, err}
	}
	return err
}

// printMatches lists those whom a name may mean.
func printMatches(out io.Writer, e *support.AmbiguousError) {
	for _, u := range e.Users {
		fmt.Fprintf(out, "%s  %s\n", line(u.ID), line(strings.TrimSpace(support.Name(u.Person)+"  "+orEmpty(u.Identifier))))
	}
	for _, w := range e.Workspaces {
		fmt.Fprintf(out, "%s  %s\n", line(w.ID), line(strings.TrimSpace(support.WorkspaceName(w.Name, w.ID)+"  "+orEmpty(w.Slug))))
	}
}
