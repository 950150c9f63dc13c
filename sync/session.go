package sync

// EndedSession is a session that has ended. UserID is "" if the event doesn't say whose it was.
type EndedSession struct{ ID, UserID string }

// sessionEvent reads the end of a session. Only the session's id counts: the end is final, so the
// order of the events doesn't matter. The mirror has no sessions, it only remembers their ends.
// Whose session it was is noted for support, and never decides anything.
func sessionEvent(dec *decoder, data object) Facts {
	ended := EndedSession{ID: dec.id(data, "id", SessionPrefix)}
	if user := data.text("user_id"); user.err == nil && ValidID(UserPrefix, user.value) {
		ended.UserID = user.value
	}
	return Facts{Subject: ended.ID, EndedSession: ended}
}
