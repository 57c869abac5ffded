// An OpenID Connect issuer, oidc-provider as it comes, on a port and with keys
// that the test chooses. It ends when the test closes its input.
//
// Beside the issuer's own routes there are two for the test, under /test/:
// PUT /test/keys replaces the keys, as an operator would who rotates them, and
// GET /test/fetches says how often the keys were fetched.
import {readFileSync} from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import {text} from 'node:stream/consumers';
import Provider from 'oidc-provider';

const {issuer, port, certFile, keyFile, keys, clients, resources} = JSON.parse(process.env.E2E_SETTINGS);
let handler = provide(keys);
let fetches = 0;

function provide(jwks) {
    const provider = new Provider(issuer, {
        jwks,
        clients: clients.map(({id, redirects}) => ({
            client_id: id,
            redirect_uris: redirects,
            application_type: redirects.some(redirect => redirect.startsWith('https:')) ? 'web' : 'native',
            token_endpoint_auth_method: 'none',
        })),
        clientBasedCORS: () => true, // pages exchange their codes themselves
        cookies: {keys: ['of no secret worth']},
        claims: {openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'groups']},
        // The ID token of this flow has the claims of its scopes.
        conformIdTokenClaims: false,
        // Whoever signs in is known by what they say they are.
        findAccount: (ctx, sub) => ({
            accountId: sub,
            claims: () => ({
                sub,
                name: `User ${sub}`,
                email: `${sub}@example.org`,
                email_verified: !sub.startsWith('unverified'),
                groups: ['staff'],
            }),
        }),
        features: {
            resourceIndicators: {
                enabled: true,
                getResourceServerInfo: (ctx, resource) => {
                    if (!resources.includes(resource)) {
                        throw new Error('no such resource');
                    }
                    return {
                        scope: 'rooms',
                        audience: resource,
                        accessTokenFormat: 'jwt',
                        jwt: {sign: {alg: 'RS256'}},
                    };
                },
            },
        },
    });
    return provider.callback();
}

async function answer(req, res) {
    if (req.method === 'PUT' && req.url === '/test/keys') {
        handler = provide(JSON.parse(await text(req)));
        res.end();
        return;
    }
    if (req.url === '/test/fetches') {
        res.end(String(fetches));
        return;
    }
    if (req.url === '/jwks') {
        fetches++;
    }
    handler(req, res);
}

const server = certFile
    ? https.createServer({cert: readFileSync(certFile), key: readFileSync(keyFile)}, answer)
    : http.createServer(answer);
server.listen(port, '127.0.0.1');
process.stdin.resume().on('end', () => process.exit());
