// What every page of the tests has.

/** until waits for something to be true, and says what it was if it never is. */
window.until = async (what, check, patience = 30_000) => {
    for (const start = performance.now(); ; ) {
        const value = await check();
        if (value) return value;
        if (performance.now() - start > patience) throw new Error(`waited in vain for ${what}`);
        await new Promise(resolve => setTimeout(resolve, 20));
    }
};
