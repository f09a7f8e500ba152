// Of a series of questions only the last one matters.

/** Runs `task(signal)` a little after the last call, and aborts the run before it. */
export function latest(task) {
  let timer = null;
  let running = null;
  const stop = () => {
    clearTimeout(timer);
    running?.abort();
  };
  const start = async () => {
    const own = new AbortController();
    running = own;
    try {
      await task(own.signal);
    } catch (error) {
      if (!own.signal.aborted) throw error;
    }
  };
  const ask = (wait_ms = 0) => {
    stop();
    timer = setTimeout(start, wait_ms);
  };
  return { ask, stop };
}
