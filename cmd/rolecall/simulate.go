package main

import (
	"errors"
	"net/url"
)

// simulateCommand is in every binary, with its help and flags. The tag nodev leaves out the code
// that it runs.
type simulateCommand struct {
	Listen          string       `default:"127.0.0.1:8081" help:"Where the simulated Clerk listens. Port 0 is a free one."`
	Host            []string     `placeholder:"NAME" help:"Answer requests to this name, too, such as a container's. Repeat it for several."`
	Seed            uint64       `default:"1" help:"Number from which all ids, keys and secrets follow. The same number gives the same ones at each start."`
	World           string       `default:"callmine" enum:"callmine,empty" help:"Who is there at the start: callmine is eight invented people in three workspaces."`
	WebhooksTo      []webAddress `placeholder:"URL" help:"Send signed webhooks there. Repeat it for several endpoints."`
	WebhookSecret   string       `placeholder:"whsec_…" help:"Sign webhooks with this secret. Defaults to one that follows from the seed."`
	Issuer          webAddress   `placeholder:"URL" help:"Issuer of session tokens. Defaults to https://clerk.callmine.test."`
	AuthorizedParty webAddress   `placeholder:"URL" help:"Authorized party of session tokens. Defaults to https://app.callmine.test."`
	EnvFile         string       `type:"path" placeholder:"FILE" help:"Write to this file the variables by which Clerk's SDKs and Rolecall find the simulator."`
}

// webAddress is an absolute web address on the command line.
type webAddress string

// UnmarshalText implements [encoding.TextUnmarshaler]: the parser then refuses wrong values.
func (a *webAddress) UnmarshalText(text []byte) error {
	parsed, err := url.Parse(string(text))
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" {
		return errors.New("it is no web address: write one such as http://127.0.0.1:3000/webhooks")
	}
	*a = webAddress(text)
	return nil
}
