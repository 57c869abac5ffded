// A meeting from its creation to its end, through the tutorial's object where
// that has the call, and through the raw one where it has not.
import {createApi, withToken} from '@pexip/vpaas-api';
import {accessToken, apiAddress, createJwt, outcome, report} from './vpaas.mjs';

const raw = createApi();
const api = withToken(createJwt, apiAddress)(createApi());

const create = await outcome(api.create());
const meetingId = create.data?.id;
const participants = await outcome(api.participants({meetingId}));
const join = await outcome(
    raw.join({
        apiAddress,
        meetingId,
        participantId: participants.data?.id,
        participantSecret: participants.data?.participant_secret,
    }),
);
const joinAgain = await outcome(
    raw.join({
        apiAddress,
        meetingId,
        participantId: participants.data?.id,
        participantSecret: participants.data?.participant_secret,
    }),
);
const late = await outcome(api.participants({meetingId}));
report({create, participants, join, joinAgain, late, token: await accessToken(raw)});
