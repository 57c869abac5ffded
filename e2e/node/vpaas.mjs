// What the scripts of this folder share: the application of the Pexip tutorial,
// as its page writes it, and a way to tell the test what happened.
import fs from 'node:fs';
import jwt from 'jsonwebtoken';
import {v4 as uuidv4} from 'uuid';
import {setLogger} from '@pexip/vpaas-api';

// The library logs whole answers, secrets too, unless it is given a logger.
setLogger({debug() {}, redact() {}});

export const settings = JSON.parse(process.env.E2E_SETTINGS);
export const {apiAddress} = settings;

const allScopes = [
    'meeting:create',
    'meeting:read',
    'meeting:write',
    'participant:create',
    'participant:read',
    'participant:write',
];

// The real time, also in a script that moves Date.now.
const now = Date.now.bind(Date);

/** createJwt as in the tutorial; what differs from it can be given. */
export const createJwt = ({
    clientId = settings.clientId,
    privateKeyPath = settings.privateKeyPath,
    scope = allScopes,
} = {}) =>
    jwt.sign(
        {
            iss: clientId,
            sub: clientId,
            aud: `${apiAddress}/oauth/token`,
            scope: scope.join(' '),
            iat: Math.floor(now() / 1000),
        },
        fs.readFileSync(privateKeyPath),
        {algorithm: 'RS384', expiresIn: '60s', jwtid: uuidv4()},
    );

/** What became of a call: its status and data, or the class and message of its error. */
export const outcome = async promise => {
    try {
        const {status, data} = await promise;
        return {status, data};
    } catch (error) {
        return {error: error.name, class: error.constructor.name, message: error.message};
    }
};

/** The Authorization value of a fresh token, for the raw calls. */
export const accessToken = async (api, options) => {
    const {data} = await api.token({token: createJwt(options), apiAddress});
    return `${data.token_type} ${data.access_token}`;
};

/** Hands the result to the test, beside whatever the library prints. */
export const report = result =>
    fs.writeFileSync(process.env.E2E_RESULT, JSON.stringify(result));
