package janus

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"usher"
	"usher/internal/platform"
)

// VideoRoom's codes of what is wrong.
const (
	codeNoRoom     = 426
	codeRoomExists = 427
	codeNoFeed     = 428
	codeDenied     = 433
)

// maxPublishers is how many VideoRoom lets speak at a time, which would be three
// if nothing were said. Usher counts seats itself.
const maxPublishers = 1000

// errNoVideoRoom says that there is nobody to ask.
var errNoVideoRoom = fmt.Errorf("janus: no adminURL is configured: %w", errors.ErrUnsupported)

// roomRequest asks VideoRoom for something about one room.
type roomRequest struct {
	Request string `json:"request"`
	Room    any    `json:"room"`
	Secret  string `json:"secret,omitempty"`
	ID      any    `json:"id,omitempty"`
}

// createRequest makes a room that nobody can list, or enter without a token.
type createRequest struct {
	roomRequest
	Private      bool   `json:"is_private"`
	SignedTokens bool   `json:"signed_tokens"`
	Publishers   int    `json:"publishers"`
	AdminKey     string `json:"admin_key,omitempty"`
}

// Open makes a room with a name of its own.
func (p *Platform) Open(ctx context.Context) (platform.Opened, error) {
	if p.config.AdminURL == "" {
		return platform.Opened{}, errNoVideoRoom
	}
	room, err := p.newRoom()
	if err != nil {
		return platform.Opened{}, err
	}
	body, err := p.create(ctx, room)
	if err != nil {
		return platform.Opened{}, fmt.Errorf("janus: open a room: %w", asUpstream(err))
	}
	return platform.Opened{Room: room, Body: body}, nil
}

// Reaches reports whether there is a Janus that can be asked to do something.
// Otherwise the platform issues tokens and nothing else.
func (p *Platform) Reaches() bool { return p.config.AdminURL != "" || p.config.PluginURL != "" }

// KeepsRoom reports whether a token of that format is for a room of VideoRoom
// that can be opened from here. The plugin's rooms come by themselves.
func (p *Platform) KeepsRoom(format string) bool {
	return format == FormatVideoRoom && p.config.AdminURL != ""
}

// OpenRoom makes the room of that name if VideoRoom does not have it, as after
// a restart: it keeps rooms in memory only. A room that somebody else has made
// is a conflict, since nothing is known of who may enter it.
func (p *Platform) OpenRoom(ctx context.Context, room string) error {
	if p.config.AdminURL == "" {
		return errNoVideoRoom
	}
	err := p.checkRoom(FormatVideoRoom, room)
	if err == nil {
		_, err = p.create(ctx, room)
	}
	if isRefusal(err, codeRoomExists) {
		// To edit nothing succeeds for who knows the room's secret.
		err = p.admin(ctx, p.about("edit", room), &struct{}{})
		if isRefusal(err, codeDenied) {
			err = usher.Errorf(usher.Conflict, "janus_room_foreign", "VideoRoom has a room of that name that Usher has not made.")
		}
	}
	if err != nil {
		return fmt.Errorf("janus: open a room: %w", asUpstream(err))
	}
	return nil
}

func (p *Platform) create(ctx context.Context, room string) (json.RawMessage, error) {
	var body json.RawMessage
	err := p.admin(ctx, createRequest{
		roomRequest: p.about("create", room),
		Private:     true, SignedTokens: true, Publishers: maxPublishers,
		AdminKey: p.config.AdminKey.Reveal(),
	}, &body)
	return body, err
}

// CloseRoom ends a room of VideoRoom, and puts everybody out of one of the
// plugin's, who can come back for as long as their tokens last. A room that is
// gone is no error.
func (p *Platform) CloseRoom(ctx context.Context, room string) error {
	var errs []error
	if p.config.AdminURL != "" {
		errs = append(errs, p.ask(ctx, room, p.about("destroy", room), &struct{}{}))
	}
	if p.config.PluginURL != "" {
		errs = append(errs, p.kickAll(ctx, room))
	}
	return p.outcome("close a room", errs)
}

// Eject puts a participant out of a room: who has joined it with the subject as
// its id (VideoRoom) or user_id (the plugin). It can come back for as long as
// its token lasts.
func (p *Platform) Eject(ctx context.Context, room, subject string) error {
	var errs []error
	if p.config.AdminURL != "" {
		req := p.about("kick", room)
		req.ID = p.name(subject)
		errs = append(errs, p.ask(ctx, room, req, &struct{}{}))
	}
	if p.config.PluginURL != "" {
		errs = append(errs, p.kick(ctx, room, subject))
	}
	return p.outcome("eject a participant", errs)
}

// Count returns how many are in a room; a room that is gone has nobody in it.
// Who only listens is not counted.
func (p *Platform) Count(ctx context.Context, room string) (int, error) {
	var errs []error
	count := 0
	if p.config.AdminURL != "" {
		var list struct {
			Participants []struct{} `json:"participants"`
		}
		errs = append(errs, p.ask(ctx, room, p.about("listparticipants", room), &list))
		count += len(list.Participants)
	}
	if p.config.PluginURL != "" {
		users, err := p.occupants(ctx, room)
		errs = append(errs, err)
		count += len(users)
	}
	if err := p.outcome("count participants", errs); err != nil {
		return 0, err
	}
	return count, nil
}

// ask asks VideoRoom for something about a room. If it has no such room or
// participant, or can't have, there is nothing to do.
func (p *Platform) ask(ctx context.Context, room string, req roomRequest, answer any) error {
	if p.checkRoom(FormatVideoRoom, room) != nil {
		return nil
	}
	err := p.admin(ctx, req, answer)
	if isRefusal(err, codeNoRoom, codeNoFeed) {
		return nil
	}
	return err
}

// outcome says what became of something that was asked of each Janus there is.
func (p *Platform) outcome(what string, errs []error) error {
	if len(errs) == 0 && p.config.AdminURL == "" && p.config.PluginURL == "" {
		return fmt.Errorf("janus: %s: neither adminURL nor pluginURL is configured: %w", what, errors.ErrUnsupported)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("janus: %s: %w", what, asUpstream(err))
	}
	return nil
}

// asUpstream gives a refusal of VideoRoom's the sentence that a caller gets.
func asUpstream(err error) error {
	if _, ok := errors.AsType[*usher.Error](err); !ok && isRefused(err) {
		return refused(err)
	}
	return err
}

func isRefused(err error) bool {
	_, ok := errors.AsType[*refusal](err)
	return ok
}

// about makes a request about a room, with the room's secret.
func (p *Platform) about(request, room string) roomRequest {
	return roomRequest{Request: request, Room: p.name(room), Secret: p.roomSecret(room)}
}

// name writes the name of a room or participant as this VideoRoom has them.
func (p *Platform) name(s string) any {
	if n, err := strconv.ParseUint(s, 10, 64); p.config.NumericRooms && err == nil {
		return n
	}
	return s
}

// roomSecret is what a room can be changed and ended by. It follows from
// token_auth_secret, which can't be changed without a restart of Janus, after
// which the room is gone.
func (p *Platform) roomSecret(room string) string {
	h := hmac.New(sha256.New, []byte(p.config.TokenAuthSecret))
	io.WriteString(h, "usher: secret of the VideoRoom "+room)
	return hex.EncodeToString(h.Sum(nil))
}

// newRoom makes a name that nobody else has.
func (p *Platform) newRoom() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(p.random, b[:]); err != nil {
		return "", fmt.Errorf("janus: name a room: %w", err)
	}
	if p.config.NumericRooms {
		return strconv.FormatUint(binary.BigEndian.Uint64(b[:])&maxExact|1, 10), nil
	}
	return hex.EncodeToString(b[:]), nil
}
