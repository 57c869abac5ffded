package e2e_test

import "testing"

// befriended are two people who list each other.
func befriended(a *app) (ann, ben person) {
	a.t.Helper()
	ann, ben = a.enter("Ann"), a.enter("Ben")
	ann.adds("Ben")
	ben.adds("Ann")
	ann.finds("Ben", "online")
	ben.finds("Ann", "online")
	return ann, ben
}

// calls has one call the other, who accepts.
func (p person) calls(other person) {
	p.t.Helper()
	p.click(button("Call " + other.name))
	other.click(button("Accept"))
	p.talks()
	other.talks()
}

func TestTwoPeopleCallEachOtherInTheApp(t *testing.T) {
	t.Parallel()
	a := openApp(t, options{})
	ann, ben := befriended(a)

	ann.click(button("Call Ben"))
	ben.sees(`text=Ann is calling`)
	ben.sees(`html[data-tone="ring"]`)
	ann.sees(`html[data-tone="ringback"]`)
	ben.click(button("Accept"))
	ann.talks()
	ben.talks()

	// What one turns off the other is told.
	ann.click(button("Mute the microphone"))
	ben.sees(`.tag >> text=muted`)
	ann.click(button("Unmute the microphone"))
	ben.gone(`.tag >> text=muted`)
	ann.click(button("Turn the camera off"))
	ben.sees(`.nobody`)
	ann.click(button("Turn the camera on"))
	ben.gone(`.nobody`)

	ann.click(button("Share the screen"))
	ben.sees(`video[aria-label="Ann’s screen"]`)
	ben.run(`const video = document.querySelector('video[aria-label="Ann’s screen"]'); await until('the screen', () => video.videoWidth > 0)`, nil, nil)
	ann.click(button("Stop sharing the screen"))
	ben.gone(`video[aria-label="Ann’s screen"]`)

	// Another camera is chosen in the middle of the call, and the devices' dialog leaves it on.
	ann.click(button("Camera and sound"))
	ann.run(`await until('devices', () => document.querySelector('[role=dialog] select')?.options.length > 0)`, nil, nil)
	ann.click(inDialog("Close"))
	ann.talks()

	ben.click(button("Hang up"))
	ann.told("user_hangup", "The call with Ben has ended.")
	ann.run(`await until('the camera to be off', () => document.querySelectorAll('video').length === 0)`, nil, nil)
	ann.quiet()
	ben.quiet()
}

// The caller reads that it rings only where it does, and not that nobody is there.
func TestTheCallerInTheAppReadsWhereItRings(t *testing.T) {
	t.Parallel()
	a := openApp(t, options{})
	ann, ben := befriended(a)
	ben.shut()
	ann.finds("Ben", "offline")
	ann.click(button("Call Ben"))
	ann.sees(`role=status >> text=Calling Ben…`)
	ann.sees(`[data-phase="calling"]`)
	ann.gone(`html[data-tone="ringback"]`)

	ben = a.visit("Ben, who comes back", "/")
	ben.fill("input", "Ben")
	ben.click(button("Sign in"))
	ben.sees(button("Decline"))
	ann.sees(`role=status >> text=Ringing at Ben…`)
	ann.sees(`html[data-tone="ringback"]`)
	ann.gone(`text=Calling Ben…`)
	ben.click(button("Decline"))
	ann.told("rejected", "Ben declined the call.")
}

func TestACallOfTheAppCanBeDeclinedMissedOrTakenElsewhere(t *testing.T) {
	t.Parallel()
	a := openApp(t, options{})
	ann, ben := befriended(a)

	ann.click(button("Call Ben"))
	ben.click(button("Decline"))
	ann.told("rejected", "Ben declined the call.")

	// Cancelled: it is among the missed calls until these are cleared, also after a reload.
	ann.click(button("Call again"))
	ben.sees(button("Accept"))
	ann.click(button("Cancel the call"))
	ben.gone(button("Accept"))
	ben.sees(`[data-missed="Ann"]`)
	ben.reload()
	ben.sees(`[data-missed="Ann"]`)
	ben.click(button("Clear"))
	ben.gone(`[data-missed="Ann"]`)

	// The second device rings, too, and the one that takes the call has it.
	phone := a.visit("Ben's phone", "/")
	phone.signIn("Ben")
	ann.click(button("Call Ben"))
	ben.sees(button("Accept"))
	phone.click(button("Accept"))
	ann.talks()
	phone.talks()
	ben.told("taken", "The call was answered on another device.")

	// Who is in a call is busy for others, who may be strangers.
	carl := a.enter("Carl")
	ben.adds("Carl")
	carl.adds("Ben")
	carl.finds("Ben", "busy")
	carl.click(button("Call Ben"))
	carl.told("user_busy", "Ben is in another call.")
	ben.sees(`[data-missed="Carl"]`)
	phone.click(button("Hang up"))
	ann.told("user_hangup", "The call with Ben has ended.")

	// A stranger's call rings as one, and can be made a contact's.
	dora := a.enter("Dora")
	dora.adds("Carl")
	dora.click(button("Call Carl"))
	carl.sees(`text=Not in your contacts`)
	carl.click(button("Accept"))
	dora.talks()
	dora.click(button("Hang up"))
	carl.click(button("Add Dora to contacts"))
	carl.finds("Dora", "online")

	// Removed again.
	carl.click(button("More about Dora"))
	carl.click(`role=menuitem[name="Remove"]`)
	carl.click(inDialog("Remove"))
	carl.gone(`[data-contact="Dora"]`)
	dora.finds("Carl", "offline")
	for _, p := range []person{ann, ben, carl, dora, phone} {
		p.quiet()
	}
}

func TestACallOfTheAppGoesOnAfterAReloadAndARestart(t *testing.T) {
	t.Parallel()
	a := openApp(t, options{})
	ann, ben := befriended(a)
	ann.calls(ben)

	ann.reload() // the caller
	ann.talks()
	ben.talks()
	ben.reload() // the callee
	ben.talks()
	ann.talks()

	// Without a server they talk on. What one turns off meanwhile the other is told
	// once there is one again: the call goes on there, too, and both are in it.
	a.s.Stop()
	ann.talks()
	ben.talks()
	ann.click(button("Mute the microphone"))
	a.s.Restart()
	ben.sees(`.tag >> text=muted`)
	ben.click(button("Turn the camera off"))
	ann.sees(`.nobody`)
	ben.click(button("Turn the camera on"))
	ann.gone(`.nobody`)
	ann.click(button("Unmute the microphone"))
	ben.gone(`.tag >> text=muted`)
	ann.talks()
	ben.talks()
	ann.click(button("Hang up"))
	ben.told("user_hangup", "The call with Ann has ended.")
}

func TestWithoutACameraTheAppSaysWhatToDo(t *testing.T) {
	t.Parallel()
	builtWeb(t)
	s := start(t, options{})
	a := &app{t, s, startBrowser(t, chromiumOptions{Flags: []string{"--use-fake-device-for-media-stream", "--deny-permission-prompts", "--allow-loopback-in-peer-connection"}})}
	b := &app{t, s, startBrowser(t, chromiumOptions{Flags: appFlags})}
	ann, ben := a.enter("Ann"), b.enter("Ben")
	ann.adds("Ben")
	ann.click(button("Call Ben"))
	ann.sees(`role=alert >> text=does not let this page use the camera`)
	ben.click(button("Accept"))
	ann.talks() // one hears and sees the other
	ben.sees(`[data-phase="talking"] .nobody`)
	ann.click(button("Hang up"))
	ann.quiet()
}
