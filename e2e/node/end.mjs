// The end of a meeting that meeting.mjs began.
import {createApi, withToken} from '@pexip/vpaas-api';
import {apiAddress, createJwt, outcome, report, settings} from './vpaas.mjs';

const raw = createApi();
const api = withToken(createJwt, apiAddress)(createApi());
const {meetingId, token, late} = settings;

const terminate = await outcome(raw.terminate({apiAddress, meetingId, accessToken: token}));
const terminateAgain = await outcome(raw.terminate({apiAddress, meetingId, accessToken: token}));
const joinEnded = await outcome(
    raw.join({apiAddress, meetingId, participantId: late.id, participantSecret: late.participant_secret}),
);
const participantsOfEnded = await outcome(api.participants({meetingId}));
report({terminate, terminateAgain, joinEnded, participantsOfEnded});
