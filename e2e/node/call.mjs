// The page of somebody who can be called: calls over /signal, media by perfect
// negotiation (W3C WebRTC, section 10.7). An old one is as that of the serverless
// video chat: it says who it is in the URL, and is told no hello.

import './until.mjs';

const until = window.until;

/** The close codes after which a session can be resumed. */
const lost = [1001, 1006, 1011, 1012, 1013];

class Phone {
    /** Everything that came, with the time, and the codes that the socket was closed with. */
    heard = [];
    closes = [];
    hellos = [];
    collisions = 0;
    /** Descriptions that wait for release; null sends them at once. */
    held = null;
    #waiting = new Map();
    #next = 0;
    #chain = Promise.resolve();
    #making = false;
    #ignoring = false;

    constructor({url, token, old = false}) {
        this.url = url;
        this.token = token;
        this.old = old;
        this.#connect();
    }

    #connect() {
        const socket = (this.socket = this.old
            ? new WebSocket(`${this.url}?Auth=${encodeURIComponent(this.token)}`)
            : new WebSocket(this.url, 'usher.v1'));
        const hello = this.hellos.at(-1);
        socket.onopen = () =>
            this.old ||
            socket.send(
                JSON.stringify(
                    hello
                        ? {action: 'resume', payload: {token: hello.resume.token, seq: this.seq}}
                        : {action: 'auth', payload: {token: this.token}},
                ),
            );
        socket.onmessage = event => this.#receive(JSON.parse(event.data));
        socket.onclose = event => {
            this.closes.push(event.code);
            if (lost.includes(event.code)) setTimeout(() => this.#connect(), 100);
        };
    }

    /** seq is the number of the last call event. */
    get seq() {
        return Math.max(0, ...this.heard.map(m => m.seq ?? 0));
    }

    send(message) {
        this.socket.send(JSON.stringify(message));
    }

    /** request sends a message and returns the answer to it. */
    request(message) {
        const id = String(++this.#next);
        return new Promise((resolve, reject) => {
            this.#waiting.set(id, m => (m.action === 'error' ? reject(new Error(m.payload.code)) : resolve(m)));
            this.send({...message, id});
        });
    }

    /** rest calls as the page of the serverless video chat does: with the token alone in the header. */
    async rest(method, path, body) {
        const answer = await fetch(new URL(path, this.url.replace('ws', 'http')), {
            method,
            headers: {Authorization: this.token},
            ...(body && {body: JSON.stringify(body)}),
        });
        return {status: answer.status, body: answer.status === 204 ? null : await answer.json()};
    }

    /** hear waits for a message of that action. */
    hear(action) {
        return until(action, () => this.heard.find(m => m.action === action));
    }

    #receive(message) {
        if (this.#waiting.has(message.ref)) {
            this.#waiting.get(message.ref)(message);
            this.#waiting.delete(message.ref);
            return;
        }
        this.heard.push({...message, at: Date.now()});
        switch (message.action) {
            case 'hello':
                this.hellos.push(message.payload);
                break;
            case 'call.accept':
                this.callId = message.callId;
                break;
            case 'call.hangup':
                this.pc?.close();
                break;
            case 'sdp':
            case 'candidate':
                this.#chain = this.#chain.then(() => this.#negotiate(message));
        }
    }

    async invite(to, callId) {
        this.callId = callId;
        return this.request({action: 'call.invite', to, callId, payload: {media: {audio: true, video: true}}});
    }

    async accept(callId) {
        this.callId = callId;
        return this.request({action: 'call.accept', callId});
    }

    async hangUp() {
        const at = Date.now();
        await this.request({action: 'call.hangup', callId: this.callId});
        this.pc.close();
        return at;
    }

    /** media takes the camera, which makes the offer if nobody else did. */
    async media() {
        const pc = (this.pc = new RTCPeerConnection());
        pc.onicecandidate = ({candidate}) => this.send({action: 'candidate', callId: this.callId, payload: {candidate}});
        pc.onconnectionstatechange = () => {
            if (pc.connectionState === 'connected') this.send({action: 'call.connected', callId: this.callId});
        };
        pc.onnegotiationneeded = async () => {
            this.#making = true;
            try {
                await pc.setLocalDescription();
                this.#describe();
            } finally {
                this.#making = false;
            }
        };
        pc.ontrack = ({streams: [stream]}) => {
            const video = document.querySelector('video');
            video.srcObject = stream;
            video.play();
        };
        const stream = await navigator.mediaDevices.getUserMedia({audio: true, video: {width: 320, height: 240, frameRate: 15}});
        for (const track of stream.getTracks()) pc.addTrack(track, stream);
    }

    #describe() {
        const message = {action: 'sdp', callId: this.callId, payload: {description: this.pc.localDescription}};
        this.held ? this.held.push(message) : this.send(message);
    }

    /** release sends what was held. */
    release() {
        for (const message of this.held) this.send(message);
        this.held = null;
    }

    async #negotiate({action, payload: {description, candidate}}) {
        if (!this.pc) await this.media();
        const pc = this.pc;
        if (action === 'candidate') {
            try {
                await pc.addIceCandidate(candidate);
            } catch (error) {
                if (!this.#ignoring) throw error;
            }
            return;
        }
        const offered = description.type === 'offer';
        const collision = offered && (this.#making || pc.signalingState !== 'stable');
        if (collision) this.collisions++;
        this.#ignoring = collision && !this.polite;
        if (this.#ignoring) return;
        await pc.setRemoteDescription(description);
        if (!offered) return;
        await pc.setLocalDescription();
        this.#describe();
    }

    async #decoded() {
        for (const report of (await this.pc.getStats()).values()) {
            if (report.type === 'inbound-rtp' && report.kind === 'video') return report.framesDecoded ?? 0;
        }
        return 0;
    }

    /** watch waits until more of the other's video was decoded. */
    async watch() {
        await until('connection', () => this.pc?.connectionState === 'connected');
        const first = await this.#decoded();
        return until('more video', async () => (await this.#decoded()) >= first + 10);
    }
}

window.Phone = Phone;
