// Functions that do as the token says: what a gateway makes of it is the question.
exports.authorize = (event, context, callback) => {
    const token = event.queryStringParameters?.Auth;
    const policy = (Effect, principalId) => ({
        principalId,
        policyDocument: {
            Version: '2012-10-17',
            Statement: [{Action: 'execute-api:Invoke', Effect, Resource: event.methodArn}],
        },
        context: {token: String(token)},
    });
    switch (token) {
        case undefined:
        case 'unauthorized':
            return callback('Unauthorized');
        case 'error':
            return callback(new Error('Unauthorized'));
        case 'deny':
            return callback(null, policy('Deny', 'ann'));
        case 'nobody':
            return callback(null, policy('Allow', undefined));
        case 'crash':
            return callback(new Error('broken'));
    }
    callback(null, policy('Allow', 'ann'));
};

exports.connection = async event => {
    const token = event.queryStringParameters?.Auth;
    if (token === 'throws') throw new Error('broken');
    return {statusCode: Number(token) || 200};
};

// Tells the sender what it is called.
exports.message = async event => {
    const {connectionId, routeKey} = event.requestContext;
    const address = `http://127.0.0.1:${process.env.WEBSOCKET_PORT}/@connections/${encodeURIComponent(connectionId)}`;
    await fetch(address, {method: 'POST', body: JSON.stringify({connectionId, routeKey})});
    return {statusCode: 200};
};
