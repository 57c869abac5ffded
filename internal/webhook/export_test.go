package webhook

import "usher"

// Sign is how a body is signed.
func Sign(secrets []usher.Secret, id string, timestamp int64, body string) (string, error) {
	var keys [][]byte
	for _, s := range secrets {
		key, err := parseKey(s)
		if err != nil {
			return "", err
		}
		keys = append(keys, key)
	}
	return sign(keys, id, timestamp, []byte(body)), nil
}
