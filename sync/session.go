package sync

// sessionEvent reads the end of a session. Only the session's id counts: the end is final, so the
// order of the events doesn't matter. The mirror has no sessions, it only remembers their ends.
func sessionEvent(dec *decoder, data object) Facts {
	id := dec.id(data, "id", SessionPrefix)
	return Facts{Subject: id, EndedSession: id}
}
