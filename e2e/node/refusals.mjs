// Everything that the server refuses, as the classes of error that the library
// makes of it.
import {createApi, withToken} from '@pexip/vpaas-api';
import {accessToken, apiAddress, createJwt, outcome, report, settings} from './vpaas.mjs';

const raw = createApi();
const as = options => withToken(() => createJwt(options), apiAddress)(createApi());
const good = as({});
const {data: meeting} = await good.create();
const meetingId = meeting.id;
const {data: participant} = await good.participants({meetingId});
const nobody = 'aaaaaaaaaaaaaaaaaaaaaaaaaa';
const join = changes =>
    raw.join({
        apiAddress,
        meetingId,
        participantId: participant.id,
        participantSecret: participant.participant_secret,
        ...changes,
    });

const once = createJwt();
const results = {
    'wrong key': await outcome(as({privateKeyPath: settings.strangerKeyPath}).create()),
    'unknown client': await outcome(as({clientId: nobody}).create()),
    'first use of an assertion': await outcome(raw.token({token: once, apiAddress})),
    'replayed assertion': await outcome(raw.token({token: once, apiAddress})),
    'an assertion that is none': await outcome(raw.token({token: 'none', apiAddress})),
    'missing scope to create': await outcome(as({scope: ['meeting:read']}).create()),
    'missing scope to invite': await outcome(as({scope: ['meeting:create']}).participants({meetingId})),
    'missing scope to end': await outcome(
        raw.terminate({apiAddress, meetingId, accessToken: await accessToken(raw, {scope: ['meeting:read']})}),
    ),
    'no token': await outcome(raw.create({apiAddress})),
    'a token that is none': await outcome(raw.create({apiAddress, accessToken: 'Bearer undefined'})),
    'no token to end': await outcome(raw.terminate({apiAddress, meetingId})),
    'unknown meeting': await outcome(good.participants({meetingId: nobody})),
    'unknown meeting to end': await outcome(
        raw.terminate({apiAddress, meetingId: nobody, accessToken: await accessToken(raw)}),
    ),
    'unknown meeting to join': await outcome(join({meetingId: nobody})),
    'unknown participant to join': await outcome(join({participantId: nobody})),
    'wrong secret': await outcome(join({participantSecret: 'A'.repeat(43)})),
    'join without a secret': await outcome(join({participantSecret: undefined})),
    'the meeting of another client': await outcome(
        withToken(
            () => createJwt({clientId: settings.otherClientId, privateKeyPath: settings.strangerKeyPath}),
            apiAddress,
        )(createApi()).participants({meetingId}),
    ),
    'a meeting with a path in its id': await outcome(good.participants({meetingId: `${meetingId}%2Fparticipants`})),
};
report({results, secret: participant.participant_secret});
