// Agora's own library for tokens: it reads and verifies those of the test, and
// makes others.
import {createRequire} from 'node:module';
import {report, settings} from './vpaas.mjs';

const require = createRequire(import.meta.url);
const {AccessToken} = require('agora-token/src/AccessToken');
const {AccessToken2} = require('agora-token/src/AccessToken2');
const {RtcTokenBuilder, RtmTokenBuilder} = require('agora-token');
const old = {
    ...require('agora-token/src/RtcTokenBuilder'),
    RtmTokenBuilder: require('agora-token/src/RtmTokenBuilder').RtmTokenBuilder,
};

const {appId, certificate, otherCertificate} = settings;

/** What the library finds in a token of 007. */
const read007 = text => {
    const token = new AccessToken2('', '', 0, 0);
    if (!token.from_string(text)) {
        return {parsed: false};
    }
    return {
        parsed: true,
        verified: token.verifySignature(certificate),
        verifiedByOther: token.verifySignature(otherCertificate),
        appId: String(token.appId),
        begins: token.issueTs,
        ends: token.issueTs + token.expire,
        services: token.services.map(s => ({
            type: s.service_type(),
            channel: String(s.__channel_name ?? ''),
            user: String(s.__uid ?? s.__user_id ?? ''),
            privileges: s.__privileges,
        })),
    };
};

/** The same for 006, which the library verifies by making it again. */
const read006 = ({token: text, channel, user}) => {
    const token = new AccessToken(appId, certificate, channel, user);
    if (!token.fromString(text)) {
        return {parsed: false};
    }
    const again = key => {
        const other = new AccessToken(token.appID, key, channel, user);
        Object.assign(other, {salt: token.salt, ts: token.ts, messages: token.messages});
        return other.build() === text;
    };
    return {
        parsed: true,
        verified: again(certificate),
        verifiedByOther: again(otherCertificate),
        appId: token.appID,
        ends: token.ts,
        services: [{type: 1, channel, user, privileges: token.messages}],
    };
};

/** A token as the tutorial's server, or its successor, makes it. */
const mint = ({version, service, channel, user, publisher, expire}) => {
    const ends = Math.floor(Date.now() / 1000) + expire;
    const uid = /^\d+$/.test(user);
    const role = publisher ? 1 : 2;
    if (version === '006') {
        if (service === 'rtm') {
            return old.RtmTokenBuilder.buildToken(appId, certificate, user, 1, ends);
        }
        return uid
            ? old.RtcTokenBuilder.buildTokenWithUid(appId, certificate, channel, Number(user), role, ends)
            : old.RtcTokenBuilder.buildTokenWithAccount(appId, certificate, channel, user, role, ends);
    }
    if (service === 'rtm') {
        return RtmTokenBuilder.buildToken(appId, certificate, user, expire);
    }
    return uid
        ? RtcTokenBuilder.buildTokenWithUid(appId, certificate, channel, Number(user), role, expire, expire)
        : RtcTokenBuilder.buildTokenWithUserAccount(appId, certificate, channel, user, role, expire, expire);
};

report({
    read: settings.read.map(each => (each.token.startsWith('006') ? read006(each) : read007(each.token))),
    minted: settings.mint.map(mint),
});
