// An app with LiveKit's client SDK, which fetches its tokens by itself, and a
// server with LiveKit's own, which verifies them.
import {TokenVerifier} from 'livekit-server-sdk';
import {TokenSource} from 'livekit-client';
import {report, settings} from './vpaas.mjs';

const {endpoint, apiKey, apiSecret, otherSecret, requests} = settings;
const source = TokenSource.endpoint(endpoint);

const verified = async (token, secret) => {
    try {
        return await new TokenVerifier(apiKey, secret).verify(token, 0);
    } catch (error) {
        return {refused: error.code ?? error.message};
    }
};

const results = [];
for (const request of requests) {
    try {
        const {serverUrl, participantToken} = await source.fetch(request);
        results.push({
            serverUrl,
            participantToken,
            claims: await verified(participantToken, apiSecret),
            byOther: await verified(participantToken, otherSecret),
        });
    } catch (error) {
        results.push({error: error.message});
    }
}
report({results});
