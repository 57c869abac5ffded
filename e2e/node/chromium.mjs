// A real browser that a test drives: pages are opened, each in a context of its
// own with its own cookies unless it shares another's, and run what they are
// told to.
import {chromium} from 'playwright-core';
import {serve} from './driver.mjs';

let browser;
const contexts = new Map();
const pages = new Map();

serve(
    {
        /** launch starts the browser: hosts maps "name:port" to "address:port", and spkis are hashes of keys to trust. */
        async launch({executable, hosts = {}, spkis = [], flags = []}) {
            const rules = Object.entries(hosts).map(([host, address]) => `MAP ${host} ${address}`);
            browser = await chromium.launch({
                executablePath: executable,
                args: [
                    '--no-sandbox',
                    '--disable-gpu',
                    '--disable-quic',
                    '--disable-dev-shm-usage',
                    '--disable-background-networking',
                    '--disable-component-update',
                    '--disable-sync',
                    ...(rules.length ? [`--host-resolver-rules=${rules.join(',')}`] : []),
                    ...(spkis.length ? [`--ignore-certificate-errors-spki-list=${spkis.join(',')}`] : []),
                    ...flags,
                ],
            });
            return {version: browser.version()};
        },
        /** open loads a page; those that name the same context share their cookies. */
        async open({page, url, context = page}) {
            if (!contexts.has(context)) contexts.set(context, await browser.newContext());
            const opened = await contexts.get(context).newPage();
            const log = [];
            opened.on('console', message => log.push(`${message.type()}: ${message.text()}`));
            opened.on('pageerror', error => log.push(`uncaught: ${error.message}`));
            pages.set(page, {opened, log});
            await opened.goto(url);
        },
        /** run evaluates the body of an async function in a page, which sees its argument as arg. */
        async run({page, body, arg}) {
            const call = `(async arg => { ${body} })(${JSON.stringify(arg ?? null)})`;
            return pages.get(page).opened.evaluate(call);
        },
        /** reload loads a page again, which forgets everything but its storage. */
        async reload({page}) {
            await pages.get(page).opened.reload();
        },
        /** log returns what a page has printed, and what went wrong in it. */
        log: ({page}) => pages.get(page).log,
        /** offline cuts a context off from its network, or puts it back. */
        offline: ({context, offline}) => contexts.get(context).setOffline(offline),
        async shut({page}) {
            await pages.get(page).opened.close({runBeforeUnload: false});
        },
    },
    () => browser?.close(),
);
