// A script that a test drives: each line of standard input is a call,
// {"id": 1, "call": "name", "args": …}, and each line of standard output the
// answer to one, {"id": 1, "result": …} or {"id": 1, "error": "…"}. Calls may run
// at the same time. The script ends when its standard input does.
import readline from 'node:readline';

/** serve answers calls by the functions of an object, by name. */
export const serve = (handlers, close = async () => {}) => {
    const answer = message => process.stdout.write(`${JSON.stringify(message)}\n`);
    const lines = readline.createInterface({input: process.stdin});
    lines.on('line', async line => {
        const {id, call, args} = JSON.parse(line);
        try {
            answer({id, result: (await handlers[call](args ?? {})) ?? null});
        } catch (error) {
            answer({id, error: String(error?.message ?? error)});
        }
    });
    lines.on('close', async () => {
        await close();
        process.exit(0);
    });
};
