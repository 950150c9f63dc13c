package simulator

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/callmine/rolecall/internal/clerksim"
)

// longestToken is the longest life of a token that the control API makes, and the longest time ago
// at which one expired.
const longestToken = 30 * 24 * time.Hour

// clerksOwn begins the keys of the permissions that every instance has.
const clerksOwn = "org:sys_"

func (s *Simulator) postToken(req *http.Request) (any, error) {
	wanted := struct {
		UserID         string `json:"user_id"`
		SessionID      string `json:"session_id"`
		OrganizationID string `json:"organization_id"`
		Seconds        int64  `json:"seconds"`
	}{Seconds: 60}
	if err := readControl(req, &wanted); err != nil {
		return nil, err
	}
	limit := int64(longestToken / time.Second)
	switch {
	case (wanted.UserID == "") == (wanted.SessionID == ""):
		return nil, badInput("a token needs either a user_id or a session_id")
	case wanted.SessionID != "" && wanted.OrganizationID != "":
		return nil, badInput("a session has its own active organization: leave organization_id out")
	case wanted.Seconds == 0 || wanted.Seconds < -limit || wanted.Seconds > limit:
		return nil, badInput("seconds is %d: want 1 to %d, or a negative number for a token that has expired", wanted.Seconds, limit)
	}
	life := time.Duration(wanted.Seconds) * time.Second
	options := clerksim.TokenOptions{OrganizationID: wanted.OrganizationID, Lifetime: life}
	if wanted.SessionID != "" {
		token, err := s.world.TokenOf(wanted.SessionID, options)
		return map[string]string{"token": token}, err
	}
	if _, known := s.world.Directory().Users[wanted.UserID]; !known {
		return nil, &clerksim.Error{Code: clerksim.ErrNotFound, Detail: "there never was a user " + wanted.UserID}
	}
	token, err := s.world.SessionToken(wanted.UserID, options)
	return map[string]string{"token": token}, err
}

// joined is the answer to an accepted invitation.
type joined struct {
	UserID         string `json:"user_id"`
	OrganizationID string `json:"organization_id"`
	Role           string `json:"role"`
}

func joinedBy(membership clerksim.Membership) joined {
	return joined{membership.UserID, membership.OrganizationID, membership.Role}
}

func (s *Simulator) postAccept(req *http.Request) (any, error) {
	var wanted struct {
		Ticket       string `json:"ticket"`
		FirstName    string `json:"first_name"`
		LastName     string `json:"last_name"`
		InvitationID string `json:"invitation_id"`
		UserID       string `json:"user_id"`
	}
	if err := readControl(req, &wanted); err != nil {
		return nil, err
	}
	byTicket := wanted.Ticket != ""
	if byTicket == (wanted.InvitationID != "") || byTicket == (wanted.UserID != "") {
		return nil, badInput("want a ticket, or an invitation_id and the user_id of who accepts it")
	}
	if byTicket {
		_, membership, err := s.world.AcceptTicket(wanted.Ticket, wanted.FirstName, wanted.LastName)
		return joinedBy(membership), err
	}
	membership, err := s.world.Accept(wanted.InvitationID, wanted.UserID)
	return joinedBy(membership), err
}

func (s *Simulator) postEndSession(req *http.Request) (any, error) {
	return done(req, func(id string) error { _, err := s.world.EndSession(id); return err })
}

func (s *Simulator) postDeprovision(req *http.Request) (any, error) {
	return done(req, func(id string) error { _, err := s.world.DeprovisionUser(id); return err })
}

func (s *Simulator) postRestore(req *http.Request) (any, error) {
	return done(req, func(id string) error { _, err := s.world.RestoreUser(id); return err })
}

// done makes a change of the object that the path names. The body is empty, and so is the answer.
func done(req *http.Request, change func(id string) error) (any, error) {
	if err := readControl(req, &struct{}{}); err != nil {
		return nil, err
	}
	return struct{}{}, change(mux.Vars(req)["id"])
}

// postRole makes the custom permissions that don't exist, too.
func (s *Simulator) postRole(req *http.Request) (any, error) {
	var wanted struct {
		Key         string   `json:"key"`
		Name        string   `json:"name"`
		Description string   `json:"description"`
		Permissions []string `json:"permissions"`
	}
	if err := readControl(req, &wanted); err != nil {
		return nil, err
	}
	for _, key := range wanted.Permissions {
		if strings.HasPrefix(key, clerksOwn) {
			continue
		}
		if _, err := s.world.CreatePermission(key, ""); err != nil && !errors.Is(err, clerksim.ErrDuplicate) {
			return nil, err
		}
	}
	role, err := s.world.CreateRole(clerksim.NewRole{
		Key: wanted.Key, Name: wanted.Name, Description: wanted.Description, Permissions: wanted.Permissions,
	})
	return map[string]string{"id": role.ID}, err
}

func (s *Simulator) postRotate(req *http.Request) (any, error) {
	var wanted struct {
		KeepOld bool `json:"keep_old"`
	}
	if err := readControl(req, &wanted); err != nil {
		return nil, err
	}
	return struct{}{}, s.world.RotateKey(nil, wanted.KeepOld)
}

func (s *Simulator) postEvent(req *http.Request) (any, error) {
	var wanted struct {
		Type     string          `json:"type"`
		ObjectID string          `json:"object_id"`
		Data     json.RawMessage `json:"data"`
	}
	if err := readControl(req, &wanted); err != nil {
		return nil, err
	}
	if wanted.Type == "" || len(wanted.Data) == 0 || wanted.Data[0] != '{' {
		return nil, badInput("an event needs a type, and data that is a JSON object")
	}
	return struct{}{}, s.world.Emit(wanted.Type, wanted.ObjectID, wanted.Data)
}
