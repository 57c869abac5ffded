package janus_test

import (
	"errors"
	"strings"
	"testing"

	"usher/internal/platform/janus"
)

func TestProbing(t *testing.T) {
	f := &fakeSFU{plugin: plugin{authKey: export(t)}, secret: apiSecret}
	address := newSFU(t, f)
	if err := sfuPlatform(t, address, func(c *janus.Config) { c.APISecret = apiSecret }).Probe(bounded(t)); err != nil {
		t.Error(err)
	}
	if f.sessions != 0 || len(f.joined) > 0 {
		t.Errorf("%d sessions were left, and %q joined", f.sessions, f.joined)
	}
	if err := sfuPlatform(t, address).Probe(bounded(t)); err == nil || !strings.HasPrefix(err.Error(), "pluginURL: ") {
		t.Errorf("without the secret: got %v", err)
	}
	if err := adminAnswers(t, 200, `{"janus":"success","transaction":"%s","status":{}}`).Probe(bounded(t)); err != nil {
		t.Error(err)
	}
	for name, answer := range map[string]string{
		"a refusal": `{"janus":"error","transaction":"%s","error":{"code":403,"reason":"Unauthorized"}}`,
		"a page":    "<html>",
	} {
		if err := adminAnswers(t, 200, answer).Probe(bounded(t)); err == nil || !strings.HasPrefix(err.Error(), "adminURL: ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := newPlatform(t, config()).Probe(bounded(t)); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("without an address: got %v", err)
	}
}
