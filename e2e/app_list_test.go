package e2e_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"usher"
	"usher/client"
)

// creates makes rooms, one after the other.
func (u devUser) creates(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := u.api.CreateRoom(within(t, time.Minute), client.CreateRoomRequest{Name: name, Admission: usher.AdmitInvite}); err != nil {
			t.Fatal(err)
		}
	}
}

// numbered are the names of rooms.
func numbered(name string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("%s %d", name, i+1))
	}
	return names
}

// rooms are the names of the rooms that the page lists, in order.
func (p person) rooms() (names []string) {
	p.t.Helper()
	p.run(`return [...document.querySelectorAll('section[aria-label="Rooms"] .person-name > :first-child')].map(one => one.textContent)`, nil, &names)
	return names
}

// However many rooms there are, the newest is the first of them, and those that
// have ended are not among them; one's own come before those of others.
func TestTheRoomsOfTheAppAreListedToTheLast(t *testing.T) {
	t.Parallel()
	a := openApp(t, options{})
	ann, ben := a.s.login("Ann"), a.s.login("Ben")
	ended := numbered("old", 60)
	ann.creates(t, ended...)
	for _, name := range ended {
		if _, err := ann.api.EndRoom(within(t, time.Minute), name, ""); err != nil {
			t.Fatal(err)
		}
	}
	ann.creates(t, numbered("mine", 23)...)
	ben.creates(t, "theirs")

	p := a.enter("Ann")
	want := numbered("mine", 23)
	slices.Reverse(want)
	want = append(want, "theirs")
	p.sees(`text=mine 23`)
	for _, shown := range []int{10, 20, 24} {
		if got := p.rooms(); !slices.Equal(got, want[:shown]) {
			t.Errorf("of %d rooms the page lists %q, want %q", len(want), got, want[:shown])
		}
		if shown == len(want) {
			break
		}
		p.click(button(fmt.Sprintf("Show more (%d left)", len(want)-shown)))
		p.run(`await until('the keyboard at the first that is new', () => document.activeElement.getAttribute('aria-label') === arg)`, "Join "+want[shown], nil)
	}
	p.gone(`text=Show more`)
	p.sees(`li:has-text("theirs") >> text=by somebody else`)
}

// The console goes through all rooms page by page, and names whose they are.
func TestTheConsoleListsRoomsToTheLast(t *testing.T) {
	t.Parallel()
	builtWeb(t)
	s := start(t, options{})
	s.login("Ann").creates(t, numbered("room", 51)...)
	c := openConsole(startBrowser(t, chromiumOptions{}), s, "Olga")
	p := person(c)
	c.visit("Rooms")
	c.drive(`await page.getByLabel('Status').selectOption('')`, nil, nil)
	p.sees(`role=link[name="room 50"]`)
	p.sees(`role=row[name=/^room 1 .* Ann /]`)
	p.gone(`role=link[name="room 51"]`)
	p.click(button("Next page"))
	p.sees(`role=link[name="room 51"]`)
	p.gone(`role=link[name="room 50"]`)
	p.click(`role=link[name="room 51"]`)
	p.sees(`section[aria-label] >> text=Ann`)
	p.sees(`section[aria-label] >> text=user:dev#`)
	c.wantQuiet()
}
