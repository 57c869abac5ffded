package janus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"usher"
)

// Level says how bad a finding is.
type Level string

// The levels.
const (
	Fine    Level = "fine"
	Warning Level = "warning" // works, but not as safely as it could; or could not be looked at
	Fault   Level = "fault"   // people are locked out, or everybody is let in
)

// Finding is something that [Platform.Doctor] found.
type Finding struct {
	Level Level `json:"level"`
	// Check names what was looked at: "auth_key", "pluginURL", "apiURL",
	// "adminURL", "clock".
	Check string `json:"check"`
	// Message is a sentence on what was found, and what to do about it.
	Message string `json:"message"`
}

// doctor collects findings.
type doctor struct {
	*Platform
	findings []Finding
}

func (d *doctor) find(level Level, check, format string, args ...any) {
	d.findings = append(d.findings, Finding{level, check, fmt.Sprintf(format, args...)})
}

// Doctor looks whether Janus refuses and accepts what it should. It joins rooms
// with random names, and makes one that it ends again; nobody else notices.
func (p *Platform) Doctor(ctx context.Context) []Finding {
	d := &doctor{Platform: p}
	if p.config.PublicKeyFile != "" {
		d.authKey()
	}
	if p.config.PluginURL != "" {
		d.plugin(ctx)
	} else if p.config.keyed() {
		d.find(Warning, "pluginURL", "It is not configured, so that nobody can be put out, and whether the plugin checks tokens could not be looked at.")
	}
	if p.config.APIURL != "" && p.hmac.secret != "" {
		d.core(ctx)
	} else if p.hmac.secret != "" {
		d.find(Warning, "apiURL", "It is not configured, so that whether Janus checks tokens could not be looked at.")
	}
	if p.config.AdminURL != "" {
		d.videoRoom(ctx)
	} else if p.hmac.secret != "" {
		d.find(Warning, "adminURL", "It is not configured, so that Usher can neither open VideoRoom's rooms nor put anybody out of them.")
	}
	return d.findings
}

// authKey looks into the file that the plugin's auth_key names.
func (d *doctor) authKey() {
	const check = "auth_key"
	file, err := os.ReadFile(d.config.PublicKeyFile)
	if err != nil {
		d.find(Fault, check, "The file can't be read (%v). If Janus can't read it either, the plugin lets everybody into every room, and says so in one line of its log only.", err)
		return
	}
	content, err := parseFile(file)
	if err != nil {
		d.find(Fault, check, "The plugin can't use the file, and refuses every token: %v.", err)
		return
	}
	if key := d.signer.Load(); key != nil && !key.public.Equal(content.public) {
		d.find(Fault, check, "The file has another key than that of which ours is the private half, so that the plugin refuses every token of ours. Write the right file with: usher keys export --janus")
	}
	switch content.form {
	case pkcs1DER:
		d.find(Fine, check, "The file has a key in the form that the plugin needs.")
	case privateForm:
		d.find(Fault, check, "The file has a private key, which Janus has no business with, and can't use. Write the right file with: usher keys export --janus")
	default:
		d.find(Fault, check, "The file has %s, with which the plugin refuses every token without saying why; it needs %s. Write it with: usher keys export --janus", content.form, pkcs1DER)
	}
}

// plugin looks whether janus-plugin-sfu checks tokens, and whether it takes ours.
func (d *doctor) plugin(ctx context.Context) {
	const check = "pluginURL"
	room, err := d.transaction()
	if err == nil {
		err = d.withSFU(ctx, func(ctx context.Context, s sfu) error { return d.joins(ctx, s, room) })
	}
	if err != nil {
		d.find(Fault, check, "janus-plugin-sfu could not be asked: %s", explain(err))
	}
}

func (d *doctor) joins(ctx context.Context, s sfu, room string) error {
	const check = "pluginURL"
	switch _, err := s.users(ctx, room, ""); {
	case err == nil:
		d.find(Fault, check, "Everybody is let into every room without a token: set auth_key in janus.plugin.sfu.cfg to a file that Janus can read, and start Janus again.")
		return nil
	case !errors.Is(err, saysAnonymous):
		return err
	}
	d.find(Fine, check, "A join without a token is refused.")
	accepts := func(expires time.Time) (bool, error) {
		token, err := d.ownToken(ctx, room, expires, false)
		if err != nil {
			return false, err
		}
		_, err = s.users(ctx, room, token)
		if errors.Is(err, saysInvalid) {
			return false, nil
		}
		return err == nil, err
	}
	return d.tokens(check, accepts, "Its auth_key is not the public half of our key, or not in the form that it needs (usher keys export --janus writes it), or Janus was not started again since it was changed.")
}

// tokens looks whether a token of ours is taken, and whether the clock that it is
// held against is ours; otherwise says why.
func (d *doctor) tokens(check string, accepts func(expires time.Time) (bool, error), otherwise string) error {
	now, leeway := d.now(), d.config.ClockLeeway
	good, err := accepts(now.Add(d.config.TTL))
	if err != nil {
		return err
	}
	if !good {
		if good, err = accepts(now.Add(maxMaxTTL)); err != nil {
			return err
		}
		if good {
			d.find(Fault, "clock", "Janus's clock is ahead of ours by more than %s, so that all tokens have expired when they get there. Let both machines keep time with NTP.", d.config.TTL)
		} else {
			d.find(Fault, check, "A token of ours is refused. %s It could also be that Janus's clock is ahead of ours by more than a day.", otherwise)
		}
		return nil
	}
	d.find(Fine, check, "A token of ours is accepted.")
	fresh, err := accepts(d.now().Add(leeway))
	if err != nil {
		return err
	}
	stale, err := accepts(d.now().Add(-leeway - time.Second))
	switch {
	case err != nil:
		return err
	case !fresh:
		d.find(Fault, "clock", "Janus's clock is ahead of ours by more than %s, so that tokens end early by as much. Let both machines keep time with NTP.", leeway)
	case stale:
		d.find(Fault, "clock", "Janus's clock is behind ours by more than %s, so that tokens are good for longer than they say. Let both machines keep time with NTP.", leeway)
	default:
		d.find(Fine, "clock", "Janus's clock and ours agree within %s.", leeway)
	}
	return nil
}

// core looks whether Janus itself checks tokens, and whether it takes ours.
func (d *doctor) core(ctx context.Context) {
	const check = "apiURL"
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	enters := func(by proof) (bool, error) {
		c, err := d.connect(ctx, d.config.APIURL, by)
		if isRefusal(err, codeUnauthorized) {
			return false, nil
		}
		if err == nil {
			c.close(ctx)
		}
		return err == nil, err
	}
	open, err := enters(proof{})
	switch {
	case err != nil:
	case open:
		d.find(Fault, check, "Janus lets everybody in without a token: set token_auth = true and token_auth_secret in janus.jcfg, and start Janus again.")
	default:
		d.find(Fine, check, "A session without a token is refused.")
		err = d.tokens(check, func(expires time.Time) (bool, error) {
			return enters(proof{token: d.hmac.core(expires.Unix())})
		}, "Janus's token_auth_secret is not tokenAuthSecret, or is not set, so that Janus keeps a list of tokens instead.")
	}
	if err != nil {
		d.find(Fault, check, "Janus could not be asked: %s", explain(err))
	}
}

// videoRoom looks whether rooms can be opened and are closed to who has no token.
func (d *doctor) videoRoom(ctx context.Context) {
	const check = "adminURL"
	opened, err := d.Open(ctx)
	if err != nil {
		d.find(Fault, check, "A room could not be opened: %s", explain(err))
		return
	}
	if _, err := d.Count(ctx, opened.Room); err != nil {
		d.find(Fault, check, "A room's participants could not be counted: %s", explain(err))
	}
	if d.config.APIURL != "" {
		if err := d.enter(ctx, opened.Room); err != nil {
			d.find(Fault, "apiURL", "A room could not be tried: %s", explain(err))
		}
	}
	if err := d.CloseRoom(ctx, opened.Room); err != nil {
		d.find(Fault, check, "The room %s, which was opened to try it, could not be closed: %s", opened.Room, explain(err))
		return
	}
	d.find(Fine, check, "A room was opened and closed.")
}

// joinRequest asks VideoRoom to be let into a room.
type joinRequest struct {
	roomRequest
	Role  string `json:"ptype"`
	Token string `json:"token,omitempty"`
}

// enter tries to get into a room as browsers would, and to make one.
func (d *doctor) enter(ctx context.Context, room string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c, err := d.connect(ctx, d.config.APIURL, proof{token: d.hmac.core(d.now().Add(ownLifetime).Unix())})
	if err != nil {
		return err
	}
	defer c.close(ctx)
	try := func(body any) error {
		handle, err := c.attach(ctx, videoRoom)
		if err != nil {
			return err
		}
		text, err := c.message(ctx, handle, body)
		if err != nil {
			return err
		}
		return readPlugin(text, &struct{}{})
	}
	join := joinRequest{roomRequest: roomRequest{Request: "join", Room: d.name(room)}, Role: "publisher"}
	switch err := try(join); {
	case err == nil:
		d.find(Fault, "apiURL", "VideoRoom lets everybody into a room that asks for a token: set token_auth_secret in janus.jcfg, without which it asks for nothing.")
	case !isRefusal(err, codeDenied):
		return err
	default:
		d.find(Fine, "apiURL", "A join without the room's token is refused.")
	}
	join.Token = d.hmac.room(d.now().Add(ownLifetime).Unix(), room).Reveal()
	if err := try(join); err != nil {
		return err
	}
	return d.makeRoom(try)
}

// makeRoom looks whether a browser can make rooms of its own.
func (d *doctor) makeRoom(try func(body any) error) error {
	room, err := d.newRoom()
	if err != nil {
		return err
	}
	if try(d.about("create", room)) != nil {
		d.find(Fine, "apiURL", "Who may enter can't make rooms.")
		return nil
	}
	d.find(Warning, "apiURL", "Who may enter can also make rooms, outside Usher's knowledge: set admin_key in janus.plugin.videoroom.jcfg, and adminKey here.")
	return try(d.about("destroy", room))
}

// explain says what went wrong, to an operator, who may know the cause.
func explain(err error) string {
	if e, ok := errors.AsType[*usher.Error](err); ok && e.Err != nil {
		return e.Err.Error() + "."
	}
	return err.Error() + "."
}
