// Package command gives commands of users to Clerk, and brings what they change into the mirror.
//
// It guarantees that a command is recorded before Clerk is given it, so that whatever tells of the
// change first, be it a webhook, finds its actor; that it is answered from the mirror as it is
// after the change; and that a key which comes again carries nothing out twice.
package command
