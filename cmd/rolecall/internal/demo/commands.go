package demo

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/callmine/rolecall/internal/clerksim"
)

// commands returns lines for a shell of POSIX that show the service at work over HTTP. Each line
// that changes something is followed by one that waits until its effect is seen. The last ones undo
// the changes, so that the lines can be pasted again. Their tokens are in a file.
func (d *Demo) commands() (string, error) {
	file := filepath.Join(d.files, "env")
	if err := d.writeVariables(file); err != nil {
		return "", err
	}
	// The member is one whom the playground's own story leaves alone.
	const workspace, member = "$DEMO_NORTHWIND_ID", "$DEMO_LEAVER_ID"
	var b strings.Builder
	say := func(text string) { fmt.Fprintf(&b, "echo '%s'\n", text) }
	ask := func(token, more, path string) {
		fmt.Fprintf(&b, `curl -s -w ' %%{http_code}\n' -H "Authorization: Bearer $%s"%s "$ROLECALL_URL%s"`+"\n", token, more, path)
	}
	may := func(permission string) string {
		return "/v1/authorize?workspace_id=" + workspace + "&permission=" + permission
	}
	until := func(status string) {
		fmt.Fprintf(&b, `n=0; until s=$(curl -s -o /dev/null -w '%%{http_code}' -H "Authorization: Bearer $DEMO_LEAVER_TOKEN" "$ROLECALL_URL%s"); `+
			`[ "$s" = %s ] || [ $n = %d ]; do n=$((n+1)); sleep 0.05; done; echo "$s at $(date +%%T), try $((n+1))"`+"\n",
			may(d.showcase.forMembers), status, maxTries)
	}
	join := fmt.Sprintf(` -H 'Content-Type: application/json' -d '{"user_id":"'%s'","role":"%s"}'`, member, clerksim.RoleMember)
	clerk := func(method, body, path string) {
		fmt.Fprintf(&b, `curl -s -o /dev/null -X %s -H "Authorization: Bearer $CLERK_SECRET_KEY"%s "$CLERK_API_URL/v1/organizations/%s/memberships%s"`+"\n",
			method, body, workspace, path)
	}

	fmt.Fprintf(&b, ". %s\n", quoted(file))
	say(fmt.Sprintf("An admin, a member and a stranger ask whether they may do %s: 200, 403, 404.", d.showcase.forAdmins))
	ask("DEMO_ADMIN_TOKEN", "", may(d.showcase.forAdmins))
	ask("DEMO_LEAVER_TOKEN", "", may(d.showcase.forAdmins))
	ask("DEMO_STRANGER_TOKEN", "", may(d.showcase.forAdmins))
	say("The member reads which workspaces are theirs, and a service asks about the member: 200, 200.")
	ask("DEMO_LEAVER_TOKEN", "", "/v1/me")
	ask(variableToken, fmt.Sprintf(` -H 'Content-Type: application/json' -d '{"checks":[{"user_id":"'%s'","workspace_id":"'%s'","permission":"%s"}]}'`,
		member, workspace, d.showcase.forMembers), "/v1/authorize")
	say("The admin removes the member through Rolecall, and the very next question of the member is refused: 204, 404.")
	ask("DEMO_ADMIN_TOKEN", " -X DELETE", "/v1/workspaces/"+workspace+"/members/"+member)
	ask("DEMO_LEAVER_TOKEN", "", may(d.showcase.forMembers))
	say("Clerk makes them a member again, and they ask until its webhook was applied: 200.")
	clerk("POST", join, "")
	until("200")
	say("Clerk removes them, and they ask with the same token until its webhook was applied: 404.")
	clerk("DELETE", "", "/"+member)
	until("404")
	say("Clerk takes them back, so that these lines can be pasted again: 200.")
	clerk("POST", join, "")
	until("200")
	return b.String(), nil
}

// quoted quotes a path for a shell.
func quoted(path string) string { return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'" }

// maxTries bounds the wait for a webhook to some ten seconds. That is a thousand times what it
// takes, unless webhooks are switched off.
const maxTries = 200
