package main

// parts says which sides of the service a process runs.
type parts struct{ web, workers bool }
