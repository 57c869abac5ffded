package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// The page of docs/signaling.md in two windows: a call with sound and pictures
// from one to the other.
func TestTwoBrowsersCallEachOtherWithThePageOfTheDocumentation(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	files := httptest.NewServer(http.FileServer(http.Dir("../docs/signaling")))
	t.Cleanup(files.Close)
	b := startBrowser(t, chromiumOptions{Flags: []string{
		"--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", "--allow-loopback-in-peer-connection",
	}})
	signIn := func(name string) page {
		p := b.open(name, files.URL+"/call.html?usher="+url.QueryEscape(s.HTTP))
		p.run(`window.until = async (what, check) => {
			for (const start = performance.now(); !check(); ) {
				if (performance.now() - start > 60_000) throw new Error('waited in vain for ' + what + '; it says: ' + document.getElementById('status').textContent);
				await new Promise(resolve => setTimeout(resolve, 20));
			}
		};
		window.says = text => until(text, () => document.getElementById('status').textContent.includes(text));
		document.getElementById('name').value = arg;
		document.querySelector('#sign-in button').click();
		await says('You are ' + arg)`, name, nil)
		return p
	}
	const sees = `await says('Connected.'); const theirs = document.getElementById('theirs');
		await until('pictures', () => theirs.videoWidth > 0 && theirs.currentTime > 0)`
	ann, ben := signIn("Ann"), signIn("Ben")

	ann.run(`document.getElementById('whom').value = 'Ben'; document.querySelector('#call button').click()`, nil, nil)
	ben.run(`await says('Ann calls.'); document.getElementById('decline').click()`, nil, nil)
	ann.run(`await says('The call is over: rejected'); document.querySelector('#call button').click()`, nil, nil)
	ben.run(`await says('Ann calls.'); document.getElementById('answer').click()`, nil, nil)
	ann.run(sees, nil, nil)
	ben.run(sees+`; document.getElementById('hang-up').click()`, nil, nil)
	ann.run(`await says('The call is over: user_hangup')`, nil, nil)
	for _, p := range []page{ann, ben} {
		if log := p.log(); len(log) > 0 {
			t.Errorf("%s's page: %q", p.name, log)
		}
	}
}
