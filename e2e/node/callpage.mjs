// The script of a page that calls through the SDK.
import * as usher from '../../sdk/js/dist/index.js';

window.usher = usher;

/** until waits for something to be true. */
window.until = async (what, check, patience = 60_000) => {
    for (const start = Date.now(); ; ) {
        const value = await check();
        if (value) return value;
        if (Date.now() - start > patience) throw new Error(`waited in vain for ${what}`);
        await new Promise(resolve => setTimeout(resolve, 50));
    }
};

/** enter signs in and opens the camera. */
window.enter = async (url, name) => {
    const client = new usher.Client({url, signIn: usher.devSignIn(url, {name, email: `${name}@example.org`})});
    window.client = client;
    window.tracks = [];
    const hello = await client.connect();
    await client.api.user();
    window.local = await usher.LocalMedia.open({audio: true, video: {width: 320, height: 240, frameRate: 15}});
    return hello.userId;
};

/** talk connects the media of a call. */
window.talk = async call => {
    window.call = call;
    window.media = await client.media(call, local);
    window.peer = media.peer;
    media.on('track', track => window.tracks.push(track));
    media.on('failed', error => console.error('failed', error.code, error.message));
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
