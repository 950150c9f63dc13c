package main

// devCommand is in every binary, with its help and flags. The tag nodev leaves out the code that it
// runs.
type devCommand struct {
	Clerk      bool   `xor:"simulator,playground,env-file,plain,remote" help:"Mirror your own Clerk instance, by CLERK_SECRET_KEY, instead of a simulated one. Changes nothing there."`
	Listen     string `help:"Where webhooks and the API listen. Defaults to 127.0.0.1:8080, or a free port if that is taken."`
	Admin      string `help:"Where the console, /healthz, /readyz and /metrics listen. Defaults to 127.0.0.1:9090, or a free port if that is taken."`
	Playground string `xor:"playground" help:"Where the sample product listens, on this machine only. Defaults to 127.0.0.1:7655, or a free port if that is taken."`
	Simulator  string `xor:"simulator" help:"Where the simulated Clerk listens. Defaults to 127.0.0.1:8081, or a free port if that is taken."`
	Seed       uint64 `default:"1" help:"Number from which all ids, keys, secrets and tokens follow. The same number gives the same ones at each start."`
	EnvFile    string `xor:"env-file" type:"path" placeholder:"FILE" help:"Write to this file what your own application needs: addresses, keys, tokens of invented people."`
	Plain      bool   `xor:"plain" help:"Print commands to paste into a shell, and no feed of what happens."`
	Remote     bool   `xor:"remote" help:"Accept a DATABASE_URL on another machine. dev empties its schema rolecall, and writes invented people into it."`
	Data       string `type:"path" help:"Folder for the database's files. Defaults to one in the user's cache folder."`
}
