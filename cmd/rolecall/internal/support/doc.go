// Package support answers what a support engineer asks about people and workspaces. The command
// line and the console share its answers and its words.
//
// It guarantees that a text names one person or workspace, or that the error lists those whom it
// may mean: nothing is answered about another one than was meant. It only reads, through store.
package support
