package main

// devCommand is in every binary, with its help and flags. The tag nodev leaves out the code that it
// runs.
type devCommand struct {
	Listen string `default:"127.0.0.1:8080" help:"Where webhooks and the API listen."`
	Admin  string `default:"127.0.0.1:9090" help:"Where /healthz, /readyz and /metrics listen."`
	Remote bool   `help:"Accept a DATABASE_URL on another machine. It is migrated, and invented people are written there."`
	Data   string `type:"path" help:"Folder for the database's files. Defaults to one in the user's cache folder."`
}
