package config

import (
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"

	"usher"
)

// What API Gateway takes for the name of a stage, AWS for the id of an access key,
// and we for a secret that nobody guesses.
var (
	stageName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	keyName   = regexp.MustCompile(`^[A-Za-z0-9]{16,128}$`)
)

const minSecretKey = 32

func (v *validator) connections(c Config) {
	const path = "compat.connections"
	d := c.Compat.Connections
	v.address(path+".listen", d.Listen, c.Dev)
	v.check(path+".listen", d.Listen == "" || c.Signaling.Enabled, "needs signaling.enabled: it is the connections of /signal that are reached")
	v.check(path+".listen", d.Listen == "" || d.Listen != c.Server.HTTP && d.Listen != c.Server.HTTPS, "must be an address of its own")
	v.check(path+".stage", stageName.MatchString(d.Stage), "must be 1 to 128 letters, digits, hyphens and underscores")
	v.check(path+".accessKeyId", d.Listen == "" || len(d.AllKeys()) > 0, "must be set, or nobody could call")
	if d.AccessKeyID != "" || d.SecretAccessKey != "" {
		v.accessKey(path+".accessKeyId", path+".secretAccessKey", d.AccessKeyID, d.SecretAccessKey)
	}
	for _, id := range slices.Sorted(maps.Keys(d.Keys)) {
		key := join(join(path, "keys"), id)
		v.check(key, id != d.AccessKeyID, "is the accessKeyId as well")
		v.accessKey(key, key+".secretAccessKey", id, d.Keys[id].SecretAccessKey)
	}
}

func (v *validator) accessKey(idPath, secretPath, id string, secret usher.Secret) {
	v.check(idPath, keyName.MatchString(id), "must be 16 to 128 letters and digits")
	v.check(secretPath, len(secret.Reveal()) >= minSecretKey, fmt.Sprintf("must have at least %d characters", minSecretKey))
}

// AllKeys returns the secrets of all access keys, by their ids.
func (d ConnectionsDialect) AllKeys() map[string]usher.Secret {
	all := make(map[string]usher.Secret)
	if d.AccessKeyID != "" {
		all[d.AccessKeyID] = d.SecretAccessKey
	}
	for id, key := range d.Keys {
		all[id] = key.SecretAccessKey
	}
	return all
}

// warning says what is unwise about where the API is.
func (d ConnectionsDialect) warning() string {
	host, _, err := net.SplitHostPort(d.Listen)
	if d.Listen == "" || err != nil || isLoopback(host) {
		return ""
	}
	return "compat.connections.listen is not https: what is sent can be read on its way. Let a proxy with a certificate stand in front that leaves the Host header as it is."
}
