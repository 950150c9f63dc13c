// Package playground is a small sample product that Rolecall protects, and instruments that show
// what happens.
//
// The product keeps no roles. It asks Rolecall's HTTP API at each page and each action, as the
// person who acts. It uses nothing of Rolecall that another product couldn't use.
//
// It guarantees that a request reads and changes a workspace's data only after Rolecall has
// admitted the person to that workspace. Without an answer of Rolecall's, it shows nothing.
package playground
