package main

import (
	"context"
	"errors"
	"io"
)

// streams are the outputs of a command: answers go to out, logs and errors to err.
type streams struct{ out, err io.Writer }

// command is a subcommand.
type command interface {
	run(ctx context.Context, io streams) error
}

// Exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
	exitGuard = 3 // a guard stopped a sweep, or the audit log was tampered with: an operator has to look
)

// codedError ends the process with an exit code of its own.
type codedError struct {
	code int
	err  error
}

// Error implements error.
func (e *codedError) Error() string { return e.err.Error() }

// Unwrap returns the error without its code.
func (e *codedError) Unwrap() error { return e.err }

// exitCode returns the exit code for a command's error. An interrupted command has failed: a check
// that was stopped has found nothing to be in order.
func exitCode(err error) int {
	if coded, ok := errors.AsType[*codedError](err); ok {
		return coded.code
	}
	if err != nil {
		return exitError
	}
	return exitOK
}

// untilStopped returns the error of a command that runs until it is interrupted: for such a
// command, that is success.
func untilStopped(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
