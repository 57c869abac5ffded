// A real browser that a test drives: pages are opened, each in a context of its
// own with its own cookies unless it shares another's, and run what they are
// told to.
import {promises as fs} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {chromium} from 'playwright-core';
import {serve} from './driver.mjs';

/** How long a person would wait, and then some, in milliseconds. */
const patience = 90_000;

const axe = fs.readFile(fileURLToPath(import.meta.resolve('axe-core')), 'utf8').catch(() => '');

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
        /** open loads a page; those that name the same context share their cookies. The script runs before those of the page. */
        async open({page, url, context = page, script, permissions = []}) {
            if (!contexts.has(context)) contexts.set(context, await browser.newContext({permissions, reducedMotion: 'reduce'}));
            const opened = await contexts.get(context).newPage();
            opened.setDefaultTimeout(patience);
            if (script) await opened.addInitScript(script);
            const [log, origins] = [[], new Set()];
            opened.on('console', message => log.push(`${message.type()}: ${message.text()}`));
            opened.on('pageerror', error => log.push(`uncaught: ${error.message}`));
            opened.on('request', request => origins.add(new URL(request.url()).origin));
            opened.on('websocket', socket => origins.add(new URL(socket.url()).origin));
            pages.set(page, {opened, log, origins});
            await opened.goto(url);
        },
        /** goto has a page go elsewhere. */
        async goto({page, url}) {
            await pages.get(page).opened.goto(url);
        },
        /** click, fill and press do what a person does, with what a selector of Playwright's finds. */
        async click({page, at}) {
            await pages.get(page).opened.locator(at).click();
        },
        async fill({page, at, text}) {
            await pages.get(page).opened.locator(at).fill(text);
        },
        async press({page, key}) {
            await pages.get(page).opened.keyboard.press(key);
        },
        /** sees waits until there is something to see, and gone until there is not. */
        async sees({page, at}) {
            await pages.get(page).opened.locator(at).first().waitFor();
        },
        async gone({page, at}) {
            await pages.get(page).opened.locator(at).first().waitFor({state: 'hidden'});
        },
        /** resize makes the window another, in light or dark. */
        async resize({page, width, height, scheme}) {
            const {opened} = pages.get(page);
            await opened.setViewportSize({width, height});
            await opened.emulateMedia({colorScheme: scheme, reducedMotion: 'reduce'});
        },
        /** picture takes one of the window. */
        async picture({page, path}) {
            await pages.get(page).opened.screenshot({path, animations: 'disabled', caret: 'hide'});
        },
        /** faults are those that axe finds serious or worse. */
        async faults({page}) {
            const {opened} = pages.get(page);
            if (!(await opened.evaluate(() => 'axe' in globalThis))) await opened.evaluate(await axe);
            const {violations} = await opened.evaluate(() => globalThis.axe.run({resultTypes: ['violations']}));
            return violations
                .filter(({impact}) => impact === 'serious' || impact === 'critical')
                .map(({id, nodes}) => `${id}: ${nodes.map(({html, failureSummary}) => `${html} ${failureSummary}`).join('; ')}`);
        },
        /** drive runs the body of an async function here, which has the page as Playwright knows it. */
        async drive({page, body, arg}) {
            const AsyncFunction = (async () => {}).constructor;
            return new AsyncFunction('page', 'arg', body)(pages.get(page).opened, arg);
        },
        /** origins are those that a page has asked for anything. */
        origins: ({page}) => [...pages.get(page).origins],
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
