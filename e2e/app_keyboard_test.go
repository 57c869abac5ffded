package e2e_test

import (
	"strings"
	"testing"
)

// asks opens a dialog by what has a name, with the keyboard alone: the dialog
// takes the keyboard and keeps it, Escape closes it, and the keyboard goes on
// where it was. What is in a menu is opened from that, which has it afterwards.
func (p person) asks(opener, dialog string, menu ...string) {
	p.t.Helper()
	back := opener
	if len(menu) > 0 {
		back = menu[0]
	}
	p.drive(`
		const dialog = page.locator(arg.dialog);
		const focused = locator => locator.evaluate(one => one.contains(document.activeElement));
		const awaited = async (what, check) => {
			for (const end = Date.now() + 60_000; !(await check()); await page.waitForTimeout(50)) {
				if (Date.now() > end) throw new Error(what + ', but the keyboard is at ' + await page.evaluate(() => document.activeElement.outerHTML.slice(0, 200)));
			}
		};
		for (const at of new Set([arg.back, arg.opener])) {
			await page.locator(at).waitFor();
			await page.locator(at).focus();
			await page.keyboard.press('Enter');
		}
		await dialog.waitFor();
		await awaited('the dialog has the keyboard', () => focused(dialog));
		for (const key of [...Array(12).fill('Tab'), ...Array(6).fill('Shift+Tab')]) {
			await page.keyboard.press(key);
			if (!(await focused(dialog))) throw new Error(key + ' leaves ' + arg.dialog);
		}
		await page.keyboard.press('Escape');
		await dialog.waitFor({state: 'hidden'});
		await awaited('the keyboard is back at ' + arg.back, () => focused(page.locator(arg.back)))`,
		map[string]string{"opener": opener, "dialog": `role=dialog[name="` + dialog + `"]`, "back": back}, nil)
}

func TestTheDialogsOfTheAppNeedNoMouse(t *testing.T) {
	t.Parallel()
	a := openApp(t, options{})
	ann, _ := befriended(a)
	ann.asks(button("Add a contact"), "Add a contact")
	ann.asks(button("Create a room"), "Create a room")
	ann.asks(button("Camera and sound"), "Camera and sound")
	ann.asks(`role=menuitem[name="Camera and sound…"]`, "Camera and sound", `header >> role=button[name=/Account/]`)
	ann.asks(`role=menuitem[name="Remove"]`, "Remove Ben?", button("More about Ben"))

	ann.hosts("Standup")
	link := ann.invitation()
	a.s.Secret(link[strings.Index(link, "#")+1:])
	a.guest("Gus", link)
	ann.sees(`.tile[data-name="Gus"]`)
	ann.asks(button("Camera and sound"), "Camera and sound")
	ann.asks(button("People in the room"), "People (2)")
	ann.click(button("People in the room"))
	ann.asks(button("Remove Gus"), "Remove Gus from the room?")
	ann.asks(button("End the room for all"), "End the room for all?")
}

func TestTheDialogsOfTheConsoleNeedNoMouse(t *testing.T) {
	t.Parallel()
	builtWeb(t)
	w := newWorld(t)
	c := openConsole(startBrowser(t, chromiumOptions{}), w.Server, "Olga")
	p := person(c)
	c.visit("Rooms")
	p.click(`role=link[name="standup"]`)
	p.asks(button("End the room"), "End standup?")
	p.asks(button("Remove Ben"), "Remove Ben?")
	c.visit("Clients & keys")
	p.asks(button("Register a back end"), "Register a back end")
	p.asks(button("Rotate the signing keys"), "Rotate the signing keys?")
	c.wantQuiet()
}
