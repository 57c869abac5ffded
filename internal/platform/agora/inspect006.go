package agora

import (
	"time"

	"usher"
)

// read006 reports on a token that does not say for which channel and user it
// is: what it is told of them is held against their checksums.
func (i *inspector) read006(s Signed006) {
	i.Claims = map[string]any{"salt": s.Salt, "channelCRC32": s.ChannelSum, "userCRC32": s.UserSum}
	channel, user := i.channel, i.user
	isRTM := len(s.Privileges) == 1 && s.Privileges[0].ID == LoginRTM
	switch {
	case isRTM:
		channel, user = i.user, ""
	case s.UserSum == checksum(""):
		user = "" // any
	}
	told := channel != "" && (user != "" || s.UserSum == checksum(""))
	if told && s.Names(channel, user) {
		i.signer(s.AppID, func(c usher.Secret) bool { return s.Verify(channel, user, c) })
		if i.Room, i.Subject = channel, user; isRTM {
			i.Room, i.Subject = "", channel
		}
	} else {
		i.signer(s.AppID, nil)
	}
	i.times006(s)
	switch wrong := channel != "" && s.ChannelSum != checksum(channel); {
	case wrong && isRTM:
		i.problem("The token is for another RTM user than %q.", channel)
	case wrong:
		i.problem("The token is for another channel than %q.", channel)
	}
	switch wrong := user != "" && s.UserSum != checksum(user); {
	case wrong && s.UserSum == checksum("0"):
		i.problem(`The token is for the account "0", which is not uid 0.`)
	case wrong:
		i.problem("The token is for another user than %q; a client that joins with uid 0 or another uid is refused.", user)
	}
	if s.UserSum == checksum("") && !isRTM {
		i.problem("The token was made for uid 0: whoever has it can join as any user.")
	}
	if !told {
		i.problem("A 006 token does not name its channel and user; tell them to have its signature checked.")
	}
}

// times006 says what is wrong with when the token and its privileges end.
func (i *inspector) times006(s Signed006) {
	i.ExpiresAt = unix(s.Expires)
	if !i.now.Before(i.ExpiresAt) {
		i.problem("The token expired at %s, %v ago.", at(i.ExpiresAt), i.now.Sub(i.ExpiresAt).Round(time.Second))
	}
	if i.ExpiresAt.Sub(i.now) > maxLifetime+maxSkew {
		i.problem("The token ends at %s, more than 24 hours from now: the clock of who made it is wrong, or ours is. Agora ends every token after 24 hours.", at(i.ExpiresAt))
	}
	privileges := make(map[string]string)
	for _, p := range s.Privileges {
		name := "RTM login"
		if p.ID != LoginRTM {
			name = RTC.privilegeName(p.ID)
		}
		expires := i.ExpiresAt
		switch {
		case p.Expires == 0:
		case p.Expires < 1e9:
			expires = unix(p.Expires)
			i.problem("The privilege %s ends at %d, which looks like a number of seconds from now; 006 tokens have points in time.", name, p.Expires)
		default:
			expires = unix(p.Expires)
			i.privilege(name, expires)
		}
		privileges[name] = earlier(expires, i.ExpiresAt).Format(time.RFC3339)
	}
	i.Claims["privileges"] = privileges
	if len(privileges) == 0 {
		i.problem("The token has no privilege, so that it allows nothing.")
	}
}
