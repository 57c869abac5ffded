package e2e_test

import (
	"testing"
)

// meeting is people who meet in a room, each in a page of their own.
type meeting struct {
	*callPages
	room  string
	there []page
}

// come has somebody sign in and enter the room.
func (m *meeting) come(name string) (p page, participant string) {
	m.s.t.Helper()
	p, _ = m.enter(name)
	if m.room == "" {
		p.run(`return (await client.api.createRoom({admission: 'open'})).id`, nil, &m.room)
	}
	p.run(`return meet({room: arg})`, m.room, &participant)
	m.there = append(m.there, p)
	return p, participant
}

// all waits until everybody has media of so many others.
func (m *meeting) all(others int) {
	m.s.t.Helper()
	for _, p := range m.there {
		m.do(p, `await sees(arg)`, others)
	}
}

// do runs something in a page, and shows what all pages said if it fails.
func (m *meeting) do(p page, body string, arg any) {
	m.s.t.Helper()
	err := p.tryRun(body, arg, nil)
	if err == nil {
		return
	}
	for _, p := range m.there {
		var wire []string
		p.run(`return [...wire, ...mesh.participants.map(id => id + ' ' + mesh.peer(id).connection.connectionState)]`, nil, &wire)
		for _, line := range wire {
			m.s.t.Logf("%s: %s", p.name, line)
		}
	}
	m.s.t.Fatalf("%s: %v", p.name, err)
}

// leaves takes a page off those who are there.
func (m *meeting) leaves(p page) {
	for i := range m.there {
		if m.there[i].name == p.name {
			m.there = append(m.there[:i:i], m.there[i+1:]...)
			return
		}
	}
}

func TestThreePagesMeetInARoomThroughTheSDK(t *testing.T) {
	t.Parallel()
	m := &meeting{callPages: newCallPages(t)}
	ann, _ := m.come("ann")
	bob, bobID := m.come("bob")
	m.all(1)
	cleo, _ := m.come("cleo") // when the others talk already
	m.all(2)

	// A lost socket does not touch the media, and what is said after it arrives.
	cleo.run(`window.hellos = []; client.signal.on('hello', ({resumed}) => hellos.push(resumed)); socket.close(4000)`, nil, nil)
	cleo.run(`await until('the connection to be back', () => hellos[0]);
		const canvas = Object.assign(document.createElement('canvas'), {width: 64, height: 48});
		const pen = canvas.getContext('2d');
		setInterval(() => { pen.fillStyle = '#' + Math.floor(Math.random() * 4095).toString(16).padStart(3, '0'); pen.fillRect(0, 0, 64, 48); }, 50);
		navigator.mediaDevices.getDisplayMedia = async () => canvas.captureStream(20);
		await local.shareScreen()`, nil, nil)
	var cleoID string
	cleo.run(`return link.participant`, nil, &cleoID)
	for _, p := range []page{ann, bob} {
		m.do(p, `const shared = await until('the screen', () => mesh.tracks(arg).find(({kind}) => kind === 'screen')); await flows(mesh.peer(arg), shared.track)`, cleoID)
	}
	cleo.run(`local.stopScreen()`, nil, nil)
	m.do(ann, `await until('the end of the screen', () => mesh.tracks(arg).every(({kind}) => kind === 'camera'))`, cleoID)

	// A page that is loaded again takes the same place with another connection.
	var again string
	bob.run(`sessionStorage.setItem('seat', JSON.stringify(link.seat))`, nil, nil)
	bob.reload()
	bob.run(`await enter(arg.url, arg.name)`, map[string]string{"url": m.s.HTTP, "name": "bob"}, nil)
	bob.run(`return meet(JSON.parse(sessionStorage.getItem('seat')))`, nil, &again)
	if again != bobID {
		t.Errorf("bob was %s, and is %s", bobID, again)
	}
	m.all(2)

	// Who wants no media any more, and does again, stays in the room.
	cleo.run(`mesh.close()`, nil, nil)
	for _, p := range []page{ann, bob} {
		m.do(p, `await until('the other to go', () => !mesh.participants.includes(arg))`, cleoID)
	}
	cleo.run(`window.mesh = await client.mesh(link, local)`, nil, nil)
	m.all(2)

	// Who leaves, and who is put out, is gone for the others.
	cleo.run(`await link.leave()`, nil, nil)
	m.leaves(cleo)
	m.all(1)
	ann.run(`await link.remove(arg, 'Enough.')`, bobID, nil)
	bob.run(`await until('the end', () => link.isOut && mesh.participants.length === 0)`, nil, nil)
	m.leaves(bob)
	m.all(0)
}
