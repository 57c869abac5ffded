// Holds the resources of CloudFormation templates against AWS's own specification:
// the types there are, their properties and which of them are required, of what
// type each is, and the attributes that Fn::GetAtt may ask for. It reads a file of
// templates by name, with intrinsic functions in their long form, and prints the
// problems of each.
import {readFileSync} from 'node:fs';
import spec from '@aws-cdk/aws-service-spec';

const templates = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const db = spec.loadAwsServiceSpecSync();

/** What SAM makes of its own types, which is what their attributes are of. */
const madeOf = {
    'AWS::Serverless::Function': 'AWS::Lambda::Function',
    'AWS::Serverless::Api': 'AWS::ApiGateway::RestApi',
};

const typeOf = name => db.lookup('resource', 'cloudFormationType', 'equals', name)[0];
const isObject = value => typeof value === 'object' && value !== null && !Array.isArray(value);
const intrinsic = value => {
    const [name, ...more] = isObject(value) ? Object.keys(value) : [];
    return more.length === 0 && (name === 'Ref' || name?.startsWith('Fn::')) ? name : undefined;
};

/** check returns what is wrong with a value that should be of a type. */
const check = (path, value, type) => {
    const function_ = intrinsic(value);
    if (function_ === 'Fn::If') {
        return value[function_].slice(1).flatMap(branch => check(path, branch, type));
    }
    if (function_) return [];
    const wrong = [`${path}: is not of the type ${type.type}: ${JSON.stringify(value)}`];
    const plain = ['string', 'number', 'boolean'].includes(typeof value);
    switch (type.type) {
        case 'string':
            return plain ? [] : wrong;
        case 'integer':
        case 'number':
            return plain && Number.isFinite(Number(value)) ? [] : wrong;
        case 'boolean':
            return ['true', 'false'].includes(String(value)) ? [] : wrong;
        case 'json':
        case 'date-time':
            return [];
        case 'tag':
            return isObject(value) && 'Key' in value && 'Value' in value ? [] : wrong;
        case 'array':
            return Array.isArray(value) ? value.flatMap((v, i) => check(`${path}[${i}]`, v, type.element)) : wrong;
        case 'map':
            return isObject(value) ? Object.entries(value).flatMap(([k, v]) => check(`${path}.${k}`, v, type.element)) : wrong;
        case 'ref': {
            const definition = db.get('typeDefinition', type.reference);
            return isObject(value) ? properties(path, value, definition.properties) : wrong;
        }
        case 'union': {
            const all = type.types.map(t => check(path, value, t));
            return all.find(found => found.length === 0) ?? all.at(-1);
        }
        default:
            return [`${path}: is of the type ${type.type}, which this check does not know`];
    }
};

/** properties checks all of an object. */
const properties = (path, value, known) => [
    ...Object.entries(known)
        .filter(([name, p]) => p.required && !(name in value))
        .map(([name]) => `${path}.${name}: is required`),
    ...Object.entries(value).flatMap(([name, v]) =>
        known[name] ? check(`${path}.${name}`, v, known[name].type) : [`${path}.${name}: there is no such property`],
    ),
];

/** attributes checks every Fn::GetAtt, and what is like one in Fn::Sub. */
const attributes = (resources, path, value) => {
    if (Array.isArray(value)) return value.flatMap((v, i) => attributes(resources, `${path}[${i}]`, v));
    if (!isObject(value)) return [];
    const asked = [];
    if (value['Fn::GetAtt']) asked.push(value['Fn::GetAtt']);
    if (value['Fn::Sub']) {
        const text = Array.isArray(value['Fn::Sub']) ? value['Fn::Sub'][0] : value['Fn::Sub'];
        for (const [, name, attribute] of text.matchAll(/\$\{(\w+)\.([\w.]+)\}/g)) asked.push([name, attribute]);
    }
    return [
        ...asked
            .filter(([name, attribute]) => {
                const declared = resources[name]?.Type;
                return !typeOf(madeOf[declared] ?? declared)?.attributes[attribute];
            })
            .map(([name, attribute]) => `${path}: ${name} has no attribute ${attribute}`),
        ...Object.entries(value).flatMap(([k, v]) => attributes(resources, `${path}.${k}`, v)),
    ];
};

const problemsOf = template => [
    ...Object.entries(template.Resources).flatMap(([name, resource]) => {
        const type = typeOf(resource.Type);
        if (!type) return [`${name}: there is no type ${resource.Type}`];
        const all = template.Globals?.[resource.Type.replace('AWS::Serverless::', '')];
        return properties(name, {...all, ...resource.Properties}, type.properties);
    }),
    ...attributes(template.Resources, 'template', template),
];

const problems = Object.entries(templates).map(([name, template]) => [name, problemsOf(template).join('\n')]);
console.log(JSON.stringify(Object.fromEntries(problems)));
