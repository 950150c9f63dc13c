package support

import (
	"encoding/json"
	"strings"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// UserOfDelivery returns the id of the user whom a delivery is about; "" for none. Of deliveries
// about memberships and the like, only the body names the user.
func UserOfDelivery(r store.LedgerRow) string {
	if strings.HasPrefix(r.ObjectID, clerksync.UserPrefix) {
		return r.ObjectID
	}
	if r.Body == nil {
		return ""
	}
	var body struct {
		Data struct {
			UserID string `json:"user_id"`
			User   struct {
				UserID string `json:"user_id"`
			} `json:"public_user_data"`
		} `json:"data"`
	}
	if json.Unmarshal([]byte(*r.Body), &body) != nil {
		return ""
	}
	if body.Data.User.UserID != "" {
		return body.Data.User.UserID
	}
	return body.Data.UserID
}
