// Package changefeed publishes the changes of the audit log under numbers, and lets consumers wait
// for them.
//
// It guarantees that each change that is committed is published once, and each workspace's in the
// order of its chain, whichever process dies in between. While a consumer waits, changes are
// published within milliseconds; else within about a second, so that nobody pays for a haste that
// nobody needs.
package changefeed
