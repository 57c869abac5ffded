// Many calls at once on one object and on several, which all begin without a token.
import {createApi, withToken} from '@pexip/vpaas-api';
import {apiAddress, createJwt, outcome, report} from './vpaas.mjs';

const objects = Array.from({length: 2}, () => withToken(createJwt, apiAddress)(createApi()));
const meetings = await Promise.all(
    Array.from({length: 20}, (_, i) => outcome(objects[i % objects.length].create())),
);
const participants = await Promise.all(
    Array.from({length: 100}, (_, i) =>
        outcome(objects[i % objects.length].participants({meetingId: meetings[i % meetings.length].data?.id})),
    ),
);
const joins = await Promise.all(
    participants.map(({data}) =>
        outcome(
            createApi().join({
                apiAddress,
                meetingId: data?.meeting_id,
                participantId: data?.id,
                participantSecret: data?.participant_secret,
            }),
        ),
    ),
);
report({meetings, participants, joins});
