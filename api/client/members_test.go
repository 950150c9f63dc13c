package client_test

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/client"
)

type membersCase struct {
	Name    string         `json:"name"`
	Batches []membersBatch `json:"batches"`
}

type membersBatch struct {
	Anew    bool                         `json:"anew"`
	More    bool                         `json:"more"`
	Changes [][]any                      `json:"changes"`
	Gone    [][2]string                  `json:"gone"`
	Members map[string]map[string]string `json:"members"`
}

// batch returns the batch as Follow hands it over.
func (b membersBatch) batch(t *testing.T) client.Batch {
	t.Helper()
	batch := client.Batch{Anew: b.Anew, More: b.More, CompleteUntil: time.Unix(int64(len(b.Changes)), 0)}
	for _, c := range b.Changes {
		change := client.FeedChange{
			Kind: c[0].(string), WorkspaceID: c[1].(string), UserID: c[2].(string), MembershipID: c[3].(string), Role: c[4].(string),
			At: time.Unix(int64(c[5].(float64)), 0),
		}
		if len(c) > 6 {
			said, err := json.Marshal(c[6])
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(said, &change))
		}
		batch.Changes = append(batch.Changes, change)
	}
	return batch
}

func TestMembers_FollowsTheMirror(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/members.json")
	require.NoError(t, err)
	var all struct {
		Cases []membersCase `json:"cases"`
	}
	require.NoError(t, json.Unmarshal(text, &all))
	require.NotEmpty(t, all.Cases)
	workspaces, users := []string{"org_1", "org_2"}, []string{"user_1", "user_2", "user_3", "user_4"}
	for _, c := range all.Cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			var members client.Members
			for i, b := range c.Batches {
				batch := b.batch(t)
				gone := [][2]string{}
				for _, left := range members.Apply(batch) {
					gone = append(gone, [2]string{left.WorkspaceID, left.UserID})
				}
				require.ElementsMatch(t, b.Gone, gone, "batch %d", i)
				require.Equal(t, batch.CompleteUntil, members.CompleteUntil())
				for _, workspace := range workspaces {
					of := members.Of(workspace)
					require.Len(t, of, len(b.Members[workspace]), "batch %d", i)
					for _, user := range users {
						want, is := b.Members[workspace][user]
						role, member := members.Role(workspace, user)
						require.Equal(t, is, member, "batch %d: %s in %s", i, user, workspace)
						require.Equal(t, want, role)
						require.Equal(t, want, of[user])
					}
				}
			}
		})
	}
}
