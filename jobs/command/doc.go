// Package command gives users' commands to Clerk, and brings what they change into the mirror.
//
// It guarantees that
//
//   - a command is recorded before Clerk is given it, so that the change is attributed to its actor
//     even if a webhook or a sweep shows it first;
//   - the answer is made from the mirror as it is after the change;
//   - a command that comes again with the same key isn't carried out twice.
package command
