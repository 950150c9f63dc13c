package config

// Parts says which sides of the service a process runs.
type Parts struct{ Web, Workers bool }
