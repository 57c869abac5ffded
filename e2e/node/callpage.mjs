// The script of a page that calls through the SDK.
import * as usher from '../../sdk/js/dist/index.js';

window.usher = usher;

/** until waits for something to be true. */
window.until = async (what, check, patience = 150_000) => {
    for (const start = Date.now(); ; ) {
        const value = await check();
        if (value) return value;
        if (Date.now() - start > patience) throw new Error(`waited in vain for ${what}`);
        await new Promise(resolve => setTimeout(resolve, 50));
    }
};

// What the page says and is told of its connections, in short, for whoever has
// to find out why a test failed.
window.wire = [];
const note = (direction, text) => {
    const {action, to, fromParticipant, payload} = JSON.parse(text);
    if (!['sdp', 'candidates', 'peer.ready', 'peer.bye', 'room.roster', 'error'].includes(action)) return;
    const {description, candidates, participants} = payload ?? {};
    const what = description
        ? `${description.type} ${description.sdp.match(/ice-ufrag:(\S+)/)?.[1]}`
        : candidates
          ? candidates.map(candidate => candidate?.usernameFragment ?? 'end').join(' ')
          : participants?.map(({id}) => id.slice(0, 6)).join(' ') ?? payload?.code ?? '';
    const pages = `${payload?.page ?? ''}>${payload?.to ?? ''}`;
    wire.push(`${Math.round(performance.timeOrigin + performance.now()) % 1e6} ${direction} ${action} ${(to ?? fromParticipant ?? '').slice(0, 6)} ${pages} ${what}`);
};
class Tapped extends WebSocket {
    constructor(...args) {
        super(...args);
        window.socket = this;
        this.addEventListener('message', ({data}) => note('<', data));
    }
    send(text) {
        note('>', text);
        super.send(text);
    }
}

/** enter signs in and opens the camera. */
window.enter = async (url, name) => {
    const client = new usher.Client({url, signIn: usher.devSignIn(url, {name, email: `${name}@example.org`}), environment: {WebSocket: Tapped}});
    window.client = client;
    window.tracks = [];
    const hello = await client.connect();
    await client.api.user();
    window.local = await usher.LocalMedia.open({audio: true, video: {width: 320, height: 240, frameRate: 15}});
    return hello.userId;
};

/** talk connects the media of a call. */
window.talk = async (call, options) => {
    window.call = call;
    window.media = await client.media(call, local, options);
    window.peer = media.peer;
    media.on('track', track => window.tracks.push(track));
    media.on('failed', error => console.error('failed', error.code, error.message));
};

/** receives waits for more frames of the call, whose connection may be another one meanwhile. */
window.receives = async () => {
    let last = await decoded(media.peer);
    let more = 0;
    await until('frames of the call', async () => {
        const now = await decoded(media.peer);
        more += Math.max(0, now - last);
        last = now;
        return more >= 10;
    });
};

/** decoded is how many frames of video a connection has decoded, over all tracks or of one. */
window.decoded = async (peer, track) => {
    let frames = 0;
    for (const report of (await peer.connection.getStats(track)).values()) {
        if (report.type === 'inbound-rtp' && report.kind === 'video') frames += report.framesDecoded ?? 0;
    }
    return frames;
};

/** flows waits until more frames are decoded, of one track if it is named. */
window.flows = async (peer, track) => {
    const before = await decoded(peer, track);
    await until('frames', async () => (await decoded(peer, track)) >= before + 10);
};

/** meet joins a room, and connects with all who are there. */
window.meet = async entry => {
    window.link = await client.rooms.join(entry);
    window.mesh = await client.mesh(link, local);
    window.gone = [];
    mesh.on('gone', ({participant}) => window.gone.push(participant));
    mesh.on('failed', ({participant, error}) => wire.push(`failed ${participant} ${error.code}`));
    return link.participant;
};

/** sees waits until media comes from so many others. */
window.sees = async count => {
    await until(`${count} others`, () => mesh.participants.length === count);
    for (const participant of mesh.participants) {
        const frames = async () => (mesh.peer(participant) ? decoded(mesh.peer(participant)) : 0);
        let last = await frames();
        let more = 0;
        // The connection may be another one meanwhile.
        await until(`frames of ${participant}`, async () => {
            const now = await frames();
            more += Math.max(0, now - last);
            last = now;
            return more >= 10;
        });
    }
};
