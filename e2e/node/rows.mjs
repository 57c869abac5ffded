// The data layer of the serverless video chat: its three tables as its
// serverless.yml makes them, and its ways to read and write them, by AWS's SDK
// alone. A test drives it.
import {
    CreateTableCommand,
    DeleteItemCommand,
    DynamoDBClient,
    PutItemCommand,
    QueryCommand,
} from '@aws-sdk/client-dynamodb';
import {serve} from './driver.mjs';

const {CONTACTS_TABLE, USERS_TABLE, CONNECTIONS_TABLE, USER_ID_INDEX, USER_EMAIL_INDEX} = process.env;
const db = new DynamoDBClient({region: 'us-east-1', endpoint: process.env.E2E_DYNAMODB});

const keySchema = names => names.map((AttributeName, i) => ({AttributeName, KeyType: ['HASH', 'RANGE'][i]}));

const createTable = (TableName, attributes, key, IndexName, index) =>
    db.send(
        new CreateTableCommand({
            TableName,
            AttributeDefinitions: attributes.map(AttributeName => ({AttributeName, AttributeType: 'S'})),
            KeySchema: keySchema(key),
            BillingMode: 'PAY_PER_REQUEST',
            GlobalSecondaryIndexes: index && [
                {IndexName, KeySchema: keySchema(index), Projection: {ProjectionType: 'ALL'}},
            ],
        }),
    );

const row = fields => Object.fromEntries(Object.entries(fields).map(([name, S]) => [name, {S}]));
const put = (TableName, fields) => db.send(new PutItemCommand({TableName, Item: row(fields)}));

/** query returns rows as names and texts; what is of another type is left out. */
const query = async (TableName, IndexName, by, value) => {
    const {Items} = await db.send(
        new QueryCommand({
            TableName,
            IndexName,
            KeyConditionExpression: '#k = :v',
            ExpressionAttributeNames: {'#k': by},
            ExpressionAttributeValues: {':v': {S: value}},
        }),
    );
    return Items.map(item =>
        Object.fromEntries(Object.entries(item).flatMap(([name, value]) => ('S' in value ? [[name, value.S]] : []))),
    );
};

serve({
    async createTables() {
        await createTable(CONTACTS_TABLE, ['userId', 'contactUserId', 'contactEmail'], ['userId', 'contactUserId'], USER_ID_INDEX, ['userId', 'contactEmail']);
        await createTable(USERS_TABLE, ['userId', 'email'], ['userId'], USER_EMAIL_INDEX, ['email']);
        await createTable(CONNECTIONS_TABLE, ['userId', 'connectionId'], ['userId', 'connectionId']);
    },
    putUser: fields => put(USERS_TABLE, fields),
    putContact: fields => put(CONTACTS_TABLE, fields),
    putConnection: fields => put(CONNECTIONS_TABLE, fields),
    deleteContact: key => db.send(new DeleteItemCommand({TableName: CONTACTS_TABLE, Key: row(key)})),
    userByEmail: ({email}) => query(USERS_TABLE, USER_EMAIL_INDEX, 'email', email),
    user: ({userId}) => query(USERS_TABLE, undefined, 'userId', userId),
    contacts: ({userId}) => query(CONTACTS_TABLE, USER_ID_INDEX, 'userId', userId),
    contactKeys: ({userId}) => query(CONTACTS_TABLE, undefined, 'userId', userId),
    connections: ({userId}) => query(CONNECTIONS_TABLE, undefined, 'userId', userId),
});
