package roomservice

import (
	"encoding/json"

	"usher"
	"usher/internal/access"
	"usher/internal/collab"
)

// What the tests see of the translation.
var (
	ParseCommand     = parseCommand
	Arguments        = arguments
	SettledArguments = settledArguments
	Checkpoint       = checkpoint
	VersionStamp     = versionStamp
)

// ParseMessage reads an envelope and whatever body it may have.
func ParseMessage(data []byte) error {
	m, bad := parseMessage(data)
	if bad != nil {
		return bad
	}
	m.sent()
	_, _ = m.text()
	var d docCommand
	_ = json.Unmarshal(m.Body, &d)
	var p presenceCommand
	_ = json.Unmarshal(m.Body, &p)
	return nil
}

// Rooms reads the resources of a request.
func Rooms(data []byte) ([]access.SessionRoom, error) {
	var list resourceList
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	return roomsOf(list)
}

// Changes reads the commands of a back end.
func Changes(room usher.ID, commands [][]string) ([]collab.Op, error) {
	return parseChanges(room, commands)
}
