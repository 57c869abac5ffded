package e2e_test

import (
	"strings"
	"testing"
)

// hosts has somebody make a room and enter it.
func (p person) hosts(name string) {
	p.t.Helper()
	p.click(button("Create a room"))
	p.fill("role=dialog >> input", name)
	p.click(inDialog("Create a room"))
	p.sees(`role=heading[name="Join ` + name + `"]`)
	p.click(button("Join"))
	p.sees(`[data-room]`)
}

// invitation is the link that the page copies.
func (p person) invitation() (link string) {
	p.t.Helper()
	p.click(`role=toolbar >> ` + button("Copy invite link"))
	p.sees(`text=The invite link is copied`)
	p.run(`return navigator.clipboard.readText()`, nil, &link)
	return link
}

// guest comes by an invite link.
func (a *app) guest(name, link string) person {
	a.t.Helper()
	p := a.visit(name, link[len(a.s.HTTP):])
	p.fill("input", name)
	p.click(button("Join"))
	p.sees(`[data-room]`)
	return p
}

// meets waits until one gets the media of all of them.
func (p person) meets(others ...person) {
	p.t.Helper()
	for _, other := range others {
		tile := `.tile[data-name="` + other.name + `"][data-link="connected"]`
		p.sees(tile)
		p.run(`await until('the picture of '+arg, () => {
			const video = document.querySelector('.tile[data-name="'+arg+'"] video');
			return video?.videoWidth > 0 && video.currentTime > 0;
		})`, other.name, nil)
	}
	p.run(`await flows()`, nil, nil)
}

func TestThreeMeetInARoomOfTheApp(t *testing.T) {
	t.Parallel()
	a := openApp(t, options{})
	ann := a.enter("Ann")
	ann.hosts("Standup")
	ann.sees(`text=Nobody else is here yet`)
	link := ann.invitation()
	a.s.Secret(link[strings.Index(link, "#")+1:])
	gus, gil := a.guest("Gus", link), a.guest("Gil", link)
	ann.meets(gus, gil)
	gus.meets(ann, gil)
	gil.meets(ann, gus)

	// What one turns off is shown to all, and to who comes back.
	gil.click(button("Turn the camera off"))
	ann.gone(`.tile[data-name="Gil"] video:not(.unseen)`)
	ann.reload()
	ann.meets(gus)
	ann.gone(`.tile[data-name="Gil"] video:not(.unseen)`)
	gil.click(button("Turn the camera on"))
	ann.meets(gus, gil)

	gus.click(button("Share the screen"))
	for _, p := range []person{ann, gil} {
		p.sees(`video[aria-label="Gus’s screen"]`)
	}
	gus.click(button("Stop sharing the screen"))
	ann.gone(`video[aria-label="Gus’s screen"]`)

	// Guests are no hosts.
	gil.click(button("People in the room"))
	gil.sees(`[data-present="Ann"] >> text=host`)
	gil.gone(button("Remove Gus"))
	gil.gone(button("End the room for all"))
	gil.click(inDialog("Close"))

	// The host asks for quiet, and removes for good: neither a reload nor the link leads back.
	ann.click(button("People in the room"))
	ann.click(button("Ask Gil to mute"))
	gil.sees(`text=The host has asked you to be quiet`)
	gil.sees(button("Unmute the microphone"))
	ann.click(button("Remove Gus"))
	ann.click(`role=dialog[name="Remove Gus from the room?"] >> ` + button("Remove Gus"))
	gus.sees(`role=heading[name="You were removed from the room."]`)
	ann.gone(`.tile[data-name="Gus"]`)
	gil.gone(`.tile[data-name="Gus"]`)
	gus.reload()
	gus.sees(button("Join"))
	gus.click(button("Join"))
	gus.sees(`role=alert >> text=You were removed from this room`)
	late := a.visit("Late", link[len(a.s.HTTP):])
	late.fill("input", "Gus")
	late.click(button("Join"))
	late.sees(`role=alert >> text=The invite link is not good any more`)

	ann.click(button("End the room for all"))
	ann.click(`role=dialog[name="End the room for all?"] >> ` + button("End the room for all"))
	for _, p := range []person{ann, gil} {
		p.sees(`role=heading[name="The room has ended."]`)
	}
	for _, p := range []person{ann, gus, gil, late} {
		p.quiet("403")
	}
}

func TestARoomOfTheAppGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	a := openApp(t, options{})
	ann := a.enter("Ann")
	ann.hosts("Standup")
	link := ann.invitation()
	a.s.Secret(link[strings.Index(link, "#")+1:])
	gus := a.guest("Gus", link)
	ann.meets(gus)
	a.s.Stop()
	a.s.Restart()
	ann.meets(gus)
	gus.meets(ann)

	// Both are in the room again, not only connected to each other.
	ann.click(button("Mute the microphone"))
	gus.sees(`.tile[data-name="Ann"] >> text=muted`)
	gus.click(button("Leave the room"))
	gus.sees(`role=heading[name="You have left the room."]`)
	ann.gone(`.tile[data-name="Gus"]`)
	gus.click(button("Join again"))
	gus.meets(ann)
}

// Who sends nothing sees and hears the others all the same, and nobody is told
// that a connection could not be made.
func TestARoomOfTheAppIsOpenToWhoHasNoCamera(t *testing.T) {
	t.Parallel()
	a := openApp(t, options{})
	ann := a.enter("Ann")
	ann.hosts("Standup")
	link := ann.invitation()
	a.s.Secret(link[strings.Index(link, "#")+1:])
	people := []person{ann}
	for _, name := range []string{"Gil", "Gus", "Guy"} {
		p := a.visit(name, link[len(a.s.HTTP):], map[string]any{"script": refusing})
		p.fill("input", name)
		p.sees(`role=alert >> text=does not let this page`)
		p.click(button("Join"))
		p.meets(ann)
		for _, other := range people {
			p.sees(`.tile[data-name="` + other.name + `"][data-link="connected"]`)
			other.sees(`.tile[data-name="` + name + `"][data-link="connected"]`)
			other.gone(`text=No connection to`)
		}
		p.gone(`text=No connection to`)
		people = append(people, p)
	}
}

// Six meet, each with each, and the seventh is told why not.
func TestSixMeetInARoomOfTheApp(t *testing.T) {
	t.Parallel()
	a := openApp(t, options{})
	ann := a.enter("Ann")
	ann.hosts("Standup")
	link := ann.invitation()
	a.s.Secret(link[strings.Index(link, "#")+1:])
	come := func(name string) person {
		p := a.visit(name, link[len(a.s.HTTP):], map[string]any{"script": refusing})
		p.fill("input", name)
		p.click(button("Join"))
		return p
	}
	people := []person{ann}
	for _, name := range []string{"Gil", "Gus", "Guy", "Gwen", "Gio"} {
		p := come(name)
		p.meets(ann)
		people = append(people, p)
	}
	for _, p := range people {
		for _, other := range people {
			if other.name != p.name {
				p.sees(`.tile[data-name="` + other.name + `"][data-link="connected"]`)
			}
		}
	}
	come("Late").sees(`role=alert >> text=The room is full`)
	people[1].click(button("Leave the room"))
	ann.gone(`.tile[data-name="Gil"]`)
	come("Last").meets(ann)
}

func TestACallTakesOneOutOfTheRoomOfTheApp(t *testing.T) {
	t.Parallel()
	a := openApp(t, options{})
	ann, ben := befriended(a)
	ann.hosts("Standup")
	ben.click(button("Call Ann"))
	ann.sees(`text=If you accept, you leave the room.`)
	ann.click(button("Accept"))
	ann.talks()
	ben.talks()
	ben.click(button("Hang up"))
	ann.sees(`role=heading[name="Join Standup"]`)
	ann.click(button("Join"))
	ann.sees(`[data-room]`)
	ann.sees(`[data-own] video`)
}
