package e2e_test

import "testing"

func TestPeopleSignInToTheAppAtTheIssuer(t *testing.T) {
	t.Parallel()
	builtWeb(t)
	issuer := newProvider(t)
	wantPeopleOfTheIssuer(openApp(t, options{Config: trusting(issuer.entry()) + appOfIssuer}), "127.0.0.1")
}

// appOfIssuer is the configuration of a page that people sign in to at an issuer.
const appOfIssuer = "web:\n  clientId: " + clientID + "\n"

// wantPeopleOfTheIssuer has two people sign in at an issuer of that host, and
// call each other.
func wantPeopleOfTheIssuer(a *app, host string) {
	t := a.t
	t.Helper()
	people := make(map[string]person)
	for _, name := range []string{"ann", "ben"} {
		p := a.visit(name, "/")
		p.sees(`text=You sign in at ` + host)
		p.click(button("Sign in"))
		p.fill(`input[name="login"]`, name)
		p.fill(`input[name="password"]`, "any")
		p.click(`button[type="submit"]`)
		p.click(`button[type="submit"] >> text=Continue`)
		p.sees(`role=heading[name="Contacts"]`)
		p.sees(`text=` + name + `@example.org`)
		var address string
		p.run(`return location.pathname + location.search`, nil, &address)
		if address != "/" {
			t.Errorf("%s's code is in the address still: %q", name, address)
		}
		people[name] = p
	}
	ann, ben := people["ann"], people["ben"]
	ann.reload()
	ann.sees(`role=heading[name="Contacts"]`)

	ann.click(button("Add a contact"))
	ann.fill("role=dialog >> input", "ben@example.org")
	ann.click(inDialog("Add"))
	ann.click(button("Call User ben"))
	ben.sees(`text=User ann is calling`)
	ben.click(button("Accept"))
	ann.talks()
	ben.click(button("Hang up"))

	ann.signsOut()
	ann.reload()
	ann.sees(button("Sign in"))

	// Who is sent back without having signed in is told so, and a reload does not try again.
	lost := a.visit("lost", "/signed-in?error=access_denied&state=none")
	lost.sees(`role=alert >> text=The sign-in was not completed`)
	var address string
	lost.run(`return location.pathname + location.search`, nil, &address)
	if address != "/" {
		t.Errorf("the issuer's answer is in the address still: %q", address)
	}
}
