// AWS's client of @connections, which a test drives. Each call tells how it was
// answered: by a status and, of a failure, the name that the client gives it.
import {
    ApiGatewayManagementApiClient,
    DeleteConnectionCommand,
    GetConnectionCommand,
    PostToConnectionCommand,
} from '@aws-sdk/client-apigatewaymanagementapi';
import {serve} from './driver.mjs';

const call = async ({endpoint, key, secret, attempts = 1, clock = 0}, command) => {
    const client = new ApiGatewayManagementApiClient({
        endpoint,
        region: 'eu-west-1',
        credentials: {accessKeyId: key, secretAccessKey: secret},
        maxAttempts: attempts,
        systemClockOffset: clock,
    });
    try {
        const {$metadata, ...data} = await client.send(command);
        return {status: $metadata.httpStatusCode, data};
    } catch (error) {
        return {status: error.$metadata?.httpStatusCode ?? 0, name: error.name, message: error.message};
    } finally {
        client.destroy();
    }
};

serve({
    post: ({connection, data, ...by}) => call(by, new PostToConnectionCommand({ConnectionId: connection, Data: data})),
    get: ({connection, ...by}) => call(by, new GetConnectionCommand({ConnectionId: connection})),
    drop: ({connection, ...by}) => call(by, new DeleteConnectionCommand({ConnectionId: connection})),
});
